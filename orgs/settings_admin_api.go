package orgs

import (
	"context"
	"encoding/json"

	"encore.dev/types/uuid"
)

// ReplaceGlobalSettingRequest sets a value for every organisation.
type ReplaceGlobalSettingRequest struct {
	Value   json.RawMessage `json:"value"`
	Locked  *bool           `json:"locked,omitempty"` // whether organisations are kept from setting their own
	IfMatch string          `header:"If-Match"`
}

// Validate checks the request.
func (r *ReplaceGlobalSettingRequest) Validate() error { return wantValue(r.Value, r.IfMatch) }

// ListGlobalSettings lists every setting with the value that organisations start from.
//
// Platform staff may.
//
//encore:api auth method=GET path=/api/v1/admin/settings
func (s *Service) ListGlobalSettings(ctx context.Context, r *ListSettingsRequest) (*ListSettingsResponse, error) {
	return s.listSettings(ctx, uuid.Nil, r)
}

// ReadGlobalSetting is one setting with the value that organisations start from.
//
// Platform staff may. Refuses with not_found (no such key).
//
//encore:api auth method=GET path=/api/v1/admin/settings/:key
func (s *Service) ReadGlobalSetting(ctx context.Context, key string) (*Setting, error) {
	row, err := s.readSetting(ctx, uuid.Nil, key)
	if err != nil {
		return nil, err
	}
	return row.payload(row.GlobalVersion), nil
}

// PutGlobalSetting sets a setting for every organisation. locked keeps organisations from setting
// their own; what they had set does not count while it lasts.
//
// Platform administrators may. Refuses with validation_failed, not_found (no such key),
// version_conflict and policy_denied.
//
//encore:api auth method=PUT path=/api/v1/admin/settings/:key
func (s *Service) PutGlobalSetting(ctx context.Context, key string, r *ReplaceGlobalSettingRequest) (*Setting, error) {
	row, err := s.changeSetting(ctx, "update", settingChange{Key: key, Value: r.Value, Lock: r.Locked}, r.IfMatch)
	if err != nil {
		return nil, err
	}
	return row.payload(row.GlobalVersion), nil
}

// DeleteGlobalSetting takes the platform's value and its lock back.
//
// Platform administrators may. Refuses with not_found (no such key), version_conflict and
// policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/admin/settings/:key
func (s *Service) DeleteGlobalSetting(ctx context.Context, key string, r *ResetSettingRequest) (*Setting, error) {
	unlocked := false
	row, err := s.changeSetting(ctx, "delete", settingChange{Key: key, Lock: &unlocked}, r.IfMatch)
	if err != nil {
		return nil, err
	}
	return row.payload(row.GlobalVersion), nil
}
