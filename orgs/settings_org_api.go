package orgs

import (
	"context"

	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// ListSettingsRequest asks for a page.
type ListSettingsRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListSettingsRequest) Validate() error {
	_, _, err := r.keys()
	return err
}

// ListSettings lists every setting with its value and the layer that decided.
//
// Members may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/settings
func (s *Service) ListSettings(ctx context.Context, org_id uuid.UUID, r *ListSettingsRequest) (*ListSettingsResponse, error) {
	return s.listSettings(ctx, org_id, r)
}

// ReadSetting is one setting. A key that there is not is not_found.
//
// Whoever belongs to the organisation may.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/settings/:key
func (s *Service) ReadSetting(ctx context.Context, org_id uuid.UUID, key string) (*Setting, error) {
	row, err := s.readSetting(ctx, org_id, key)
	if err != nil {
		return nil, err
	}
	return row.payload(row.Version), nil
}

// PutSetting sets a setting for the organisation.
//
// Owners and administrators may. Refuses with validation_failed, not_found (no such key),
// setting_locked (the platform's to set), version_conflict, org_suspended and policy_denied.
//
//encore:api auth method=PUT path=/api/v1/org/:org_id/settings/:key
func (s *Service) PutSetting(ctx context.Context, org_id uuid.UUID, key string, r *ReplaceSettingRequest) (*Setting, error) {
	row, err := s.changeSetting(ctx, "update", settingChange{Org: org_id, Key: key, Value: r.Value}, r.IfMatch)
	if err != nil {
		return nil, err
	}
	return row.payload(row.Version), nil
}

// DeleteSetting takes the organisation's own value back, and answers with the one that counts now.
//
// Owners and administrators may. Refuses with not_found (no such key), version_conflict,
// org_suspended and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/settings/:key
func (s *Service) DeleteSetting(ctx context.Context, org_id uuid.UUID, key string, r *ResetSettingRequest) (*Setting, error) {
	row, err := s.changeSetting(ctx, "delete", settingChange{Org: org_id, Key: key}, r.IfMatch)
	if err != nil {
		return nil, err
	}
	return row.payload(row.Version), nil
}

// EffectiveSettingOf is the value of a setting that counts in the organisation, and the layer that
// decided.
//
// Whoever belongs to the organisation may. Refuses with not_found (no such key).
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/settings/:key
func (s *Service) EffectiveSettingOf(ctx context.Context, org_id uuid.UUID, key string) (*EffectiveSetting, error) {
	row, err := s.readSetting(ctx, org_id, key)
	if err != nil {
		return nil, err
	}
	return &EffectiveSetting{
		Key: key, Value: shown(row.Setting, row.Resolved), Source: string(row.Resolved.Source), Secret: row.Setting.Secret,
	}, nil
}
