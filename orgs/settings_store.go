package orgs

import (
	"context"
	"encoding/json"
	"fmt"

	"encore.app/audit/event"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/orgs/setting"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// settingRow is a setting with everything that was set for it.
type settingRow struct {
	Setting       *setting.Setting
	Resolved      setting.Resolved
	Version       int64 // of the organisation's value
	GlobalVersion int64
}

// selectSettings are the stored layers of some settings. Without an organisation, those of the
// platform alone.
const selectSettings = `
select k.key, g.value, coalesce(g.locked, false), coalesce(g.version, 0), s.value, coalesce(s.version, 0),
       coalesce((select o.license_tier from orgs.orgs o where o.id = $1), '')
  from unnest($2::text[]) as k (key)
  left join orgs.global_settings g on g.key = k.key
  left join orgs.settings s on s.org_id = $1 and s.key = k.key
 order by k.key collate "C"`

func scanSetting(row pgx.CollectableRow) (settingRow, error) {
	var (
		key         string
		global, own []byte
		l           setting.Layers
		out         settingRow
	)
	if err := row.Scan(&key, &global, &l.Locked, &out.GlobalVersion, &own, &out.Version, &l.Tier); err != nil {
		return out, err
	}
	env, err := environment()
	if err != nil {
		return out, err
	}
	l.Env, l.Global, l.Org = env[key], global, own
	s, ok := setting.Find(key)
	if !ok {
		return out, fmt.Errorf("orgs: asked for the setting %q, which there is not", key)
	}
	out.Setting, out.Resolved = s, s.Resolve(l)
	return out, nil
}

// settingScope is where an organisation's settings are read and written; uuid.Nil is the platform.
func settingScope(org uuid.UUID) tenantdb.Scope {
	if org == uuid.Nil {
		return platform
	}
	return tenantdb.Org(org)
}

// settings are those of the given keys, in the order of the keys' bytes.
func (s store) settings(ctx context.Context, org uuid.UUID, keys ...string) ([]settingRow, error) {
	rows, err := tenantdb.Rows(ctx, s.db, settingScope(org), scanSetting, selectSettings, org, keys)
	if err != nil {
		return nil, fmt.Errorf("orgs: settings: %w", err)
	}
	return rows, nil
}

// setting is one of a key that there is.
func (s store) setting(ctx context.Context, org uuid.UUID, key string) (settingRow, error) {
	rows, err := s.settings(ctx, org, key)
	if err != nil {
		return settingRow{}, err
	}
	return rows[0], nil
}

const (
	upsertSetting = `
insert into orgs.settings as s (org_id, key, value) values ($1, $2, $3)
on conflict (org_id, key) do update set value = excluded.value, version = s.version + 1, updated_at = now()`
	updateSetting = `
update orgs.settings set value = $3, version = version + 1, updated_at = now()
 where org_id = $1 and key = $2 and ($4 = 0 and value is not null or version = $4)`
	upsertGlobalSetting = `
insert into orgs.global_settings as s (key, value, locked) values ($1, $2, coalesce($3, false))
on conflict (key) do update set value = excluded.value, locked = coalesce($3, s.locked),
       version = s.version + 1, updated_at = now()`
	updateGlobalSetting = `
update orgs.global_settings set value = $2, locked = coalesce($3, locked), version = version + 1, updated_at = now()
 where key = $1 and ($4 = 0 and (value is not null or locked) or version = $4)`
)

// settingChange sets or takes back one value. A nil Value takes it back.
type settingChange struct {
	Org     uuid.UUID // uuid.Nil is the platform
	Key     string
	Value   json.RawMessage
	Lock    *bool // the platform's alone; nil leaves it
	Version int64 // what the author saw; 0 asks for nothing
}

// apply says whether there was anything to change.
func (c settingChange) apply(ctx context.Context, tx pgx.Tx) (changed bool, err error) {
	var value any
	if c.Value != nil {
		value = string(c.Value)
	}
	create := c.Value != nil && c.Version == 0
	var sql string
	args := []any{c.Org, c.Key, value}
	switch {
	case c.Org == uuid.Nil && create:
		sql, args = upsertGlobalSetting, []any{c.Key, value, c.Lock}
	case c.Org == uuid.Nil:
		sql, args = updateGlobalSetting, []any{c.Key, value, c.Lock, c.Version}
	case create:
		sql = upsertSetting
	default:
		sql, args = updateSetting, append(args, c.Version)
	}
	tag, err := tx.Exec(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	if tag.RowsAffected() == 0 && c.Version != 0 {
		return false, etag.Stale()
	}
	return tag.RowsAffected() > 0, nil
}

// changeSetting applies c together with its audit event, and answers what came of it. Taking back
// what was never set changes nothing and is no event.
func (s store) changeSetting(ctx context.Context, c settingChange, e event.Event) (settingRow, error) {
	var out settingRow
	err := s.db.Tx(ctx, settingScope(c.Org), func(tx pgx.Tx) error {
		changed, err := c.apply(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectSettings, c.Org, []string{c.Key})
		if err != nil {
			return err
		}
		if out, err = pgx.CollectExactlyOneRow(rows, scanSetting); err != nil {
			return err
		}
		if c.Org != uuid.Nil && c.Value != nil && out.Resolved.Locked {
			return errSettingLocked
		}
		if !changed {
			return nil
		}
		return e.Record(ctx, tx)
	})
	if err != nil && fault.As(err) == nil {
		return settingRow{}, fmt.Errorf("orgs: change setting: %w", err)
	}
	return out, err
}
