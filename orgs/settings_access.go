package orgs

import (
	"context"
	"slices"
	"strings"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/orgs/setting"
	"encore.dev/types/uuid"
)

// What the endpoints of organisations, members and the platform share. org is uuid.Nil for the
// platform's own layer.

// keys are those of the page and one more, if there is one.
func (r *ListSettingsRequest) keys() (keys []string, limit int, err error) {
	var (
		c     fault.Checks
		after string
	)
	limit = page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, &after)
	if err := c.Err(); err != nil {
		return nil, 0, err
	}
	all := setting.All()
	from, found := slices.BinarySearchFunc(all, after, func(s *setting.Setting, key string) int { return strings.Compare(s.Key, key) })
	if found {
		from++
	}
	for _, s := range all[from:min(len(all), from+limit+1)] {
		keys = append(keys, s.Key)
	}
	return keys, limit, nil
}

func (s *Service) listSettings(ctx context.Context, org uuid.UUID, r *ListSettingsRequest) (*ListSettingsResponse, error) {
	if _, err := authz.Check(ctx, "list", settingResource(org, "")); err != nil {
		return nil, err
	}
	keys, limit, err := r.keys()
	if err != nil {
		return nil, err
	}
	rows, err := s.store.settings(ctx, org, keys...)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(row settingRow) any { return row.Setting.Key })
	out := &ListSettingsResponse{Items: make([]Setting, len(rows)), NextCursor: next}
	for i, row := range rows {
		version := row.Version
		if org == uuid.Nil {
			version = row.GlobalVersion
		}
		out.Items[i] = *row.payload(version)
	}
	return out, nil
}

func (s *Service) readSetting(ctx context.Context, org uuid.UUID, key string) (settingRow, error) {
	if _, err := authz.Check(ctx, "read", settingResource(org, key)); err != nil {
		return settingRow{}, err
	}
	if _, _, err := knownSetting(key, nil); err != nil {
		return settingRow{}, err
	}
	return s.store.setting(ctx, org, key)
}

func (s *Service) changeSetting(ctx context.Context, action string, c settingChange, ifMatch string) (settingRow, error) {
	d, err := authz.Check(ctx, action, settingResource(c.Org, c.Key))
	if err != nil {
		return settingRow{}, err
	}
	known, value, err := knownSetting(c.Key, c.Value)
	if err != nil {
		return settingRow{}, err
	}
	changes := map[string]any{}
	if c.Value != nil {
		changes = toldOf(known, value)
	}
	if c.Lock != nil {
		changes["locked"] = *c.Lock
	}
	e, err := event.New(ctx, c.Org, action, event.Resource{Kind: "setting", ID: c.Key}, event.Succeeded, d).With(changes)
	if err != nil {
		return settingRow{}, err
	}
	c.Value, c.Version = value, etag.Wants(ifMatch)
	return s.store.changeSetting(ctx, c, e)
}
