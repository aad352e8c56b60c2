package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/sink"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type sinkStore struct {
	db     *tenantdb.DB
	sealer sink.Sealer
}

// sinkRow is a row of audit.sinks, secrets apart.
type sinkRow struct {
	OrgID          uuid.UUID
	ID             uuid.UUID
	URL            string
	Events         []string
	Enabled        bool
	DisabledReason string
	NextSeq        int64 // of the first event that is not fanned out
	Failures       int
	FailingSince   *time.Time
	OpenUntil      *time.Time
	OldUntil       *time.Time
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

const sinkColumns = `org_id, id, url, events, enabled, disabled_reason, next_seq, failures, failing_since, open_until,
       old_secret_until, version, created_at, updated_at`

var (
	errNoSink       = errors.New("audit: no such sink")
	errTooManySinks = errors.New("audit: the organisation has as many sinks as it may")
	errSinkChanged  = errors.New("audit: the sink was changed meanwhile")
)

const maxSinks = 20

// create adds a sink that begins with the events that are still to come.
func (s sinkStore) create(ctx context.Context, r sinkRow, secret []byte, e event.Event) (sinkRow, error) {
	err := s.db.Tx(ctx, tenantdb.Org(r.OrgID), func(tx pgx.Tx) error {
		// One creation at a time in an organisation, so that two cannot both be the last one allowed.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended('audit.sinks/' || $1::text, 0))", r.OrgID.String()); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, "select count(*) from audit.sinks where org_id = $1", r.OrgID).Scan(&n); err != nil {
			return err
		}
		if n >= maxSinks {
			return errTooManySinks
		}
		rows, err := tx.Query(ctx, `
insert into audit.sinks (org_id, id, url, events, secret, next_seq)
values ($1, $2, $3, coalesce($4::text[], '{}'), $5, coalesce((select size from audit.logs where org_id = $1), 0) + 1)
returning `+sinkColumns, r.OrgID, r.ID, r.URL, r.Events, s.sealer.Seal(r.ID.String(), secret))
		if err != nil {
			return err
		}
		if r, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[sinkRow]); err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	return r, wrapSink("create", err)
}

// sinkChange is what an update does; what is nil stays.
type sinkChange struct {
	version int64 // that it is made from; 0 for any
	url     *string
	events  []string
	enabled *bool
	secret  []byte
	overlap time.Duration // for which the old secret signs too
	nextSeq *int64
	event   event.Event
}

const updateSink = `
update audit.sinks
   set url = coalesce($3, url),
       events = coalesce($4::text[], events),
       enabled = coalesce($5, enabled),
       disabled_reason = case when $5 is null then disabled_reason when $5 then '' else 'by an administrator' end,
       failures = case when $5 or $3 is not null then 0 else failures end,
       failing_since = case when $5 or $3 is not null then null else failing_since end,
       open_until = case when $5 or $3 is not null then null else open_until end,
       old_secret = case when $6::bytea is null then old_secret else secret end,
       old_secret_until = case when $6::bytea is null then old_secret_until else now() + make_interval(secs => $7) end,
       secret = coalesce($6, secret),
       next_seq = least(next_seq, coalesce($8, next_seq)),
       version = version + 1,
       updated_at = now()
 where org_id = $1 and id = $2 and ($9 = 0 or version = $9)
returning ` + sinkColumns

func (s sinkStore) update(ctx context.Context, org, id uuid.UUID, c sinkChange) (r sinkRow, err error) {
	var secret []byte
	if c.secret != nil {
		secret = s.sealer.Seal(id.String(), c.secret)
	}
	err = s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, updateSink, org, id, c.url, c.events, c.enabled, secret, c.overlap.Seconds(), c.nextSeq, c.version)
		if err != nil {
			return err
		}
		r, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[sinkRow])
		if errors.Is(err, pgx.ErrNoRows) {
			return s.missing(ctx, tx, org, id)
		}
		if err != nil {
			return err
		}
		return c.event.Record(ctx, tx)
	})
	return r, wrapSink("update", err)
}

// missing tells a sink that is not there from one of another version.
func (s sinkStore) missing(ctx context.Context, tx pgx.Tx, org, id uuid.UUID) error {
	var there bool
	err := tx.QueryRow(ctx, "select exists (select from audit.sinks where org_id = $1 and id = $2)", org, id).Scan(&there)
	switch {
	case err != nil:
		return err
	case there:
		return errSinkChanged
	}
	return errNoSink
}

func (s sinkStore) delete(ctx context.Context, org, id uuid.UUID, version int64, e event.Event) error {
	err := s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "delete from audit.sinks where org_id = $1 and id = $2 and ($3 = 0 or version = $3)", org, id, version)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return s.missing(ctx, tx, org, id)
		}
		return e.Record(ctx, tx)
	})
	return wrapSink("delete", err)
}

func (s sinkStore) one(ctx context.Context, org, id uuid.UUID) (sinkRow, error) {
	r, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[sinkRow],
		"select "+sinkColumns+" from audit.sinks where org_id = $1 and id = $2", org, id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoSink
	}
	return r, wrapSink("read", err)
}

func (s sinkStore) list(ctx context.Context, org, after uuid.UUID, limit int) ([]sinkRow, error) {
	rows, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[sinkRow],
		"select "+sinkColumns+" from audit.sinks where org_id = $1 and id > $2 order by id limit $3", org, after, limit)
	return rows, wrapSink("list", err)
}

// EraseSinks deletes an organisation's sinks and what they were sent, in tx, whose scope is the
// organisation: nothing more leaves for an organisation that is erased.
func EraseSinks(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	_, err := tx.Exec(ctx, `
with all_of as (select id from audit.sinks where org_id = $1 order by id for update)
delete from audit.sinks s using all_of where s.org_id = $1 and s.id = all_of.id`, org)
	return wrapSink("erase", err)
}

func wrapSink(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("audit: %s sink: %w", what, err)
}
