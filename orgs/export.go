package orgs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/archive"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/quota"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.app/orgs/setting"
	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// exportsAtOnce bounds how many connections exports can hold, of all organisations together.
	exportsAtOnce = 3
	// exportWait is how long an export waits for its turn, and exportRetry how often it looks.
	exportWait  = 10 * time.Second
	exportRetry = 100 * time.Millisecond
	// exportStall is how long a client may take nothing before it counts as gone.
	exportStall = 30 * time.Second
	// recordWithin bounds the record of an export whose client is gone.
	recordWithin = 5 * time.Second
)

var exporting = make(chan struct{}, exportsAtOnce)

// ExportOrg is everything that the organisation owns, as an NDJSON archive: a header, a line a row,
// and a manifest with the number of rows and the SHA-256 of every type and of the whole. An archive
// without its manifest was cut off. The header says which fields are about people. Secrets and their
// hashes are not in it.
//
// Owners and administrators of the organisation may, also while it is suspended. Refuses with
// rate_limited (another export runs on) and policy_denied.
//
//encore:api auth raw method=GET path=/api/v1/org/:org_id/export
func (s *Service) ExportOrg(w http.ResponseWriter, r *http.Request) {
	authz.Stream(w, r, s.exportOrg)
}

func (s *Service) exportOrg(ctx context.Context, w http.ResponseWriter) error {
	org, err := uuid.FromString(encore.CurrentRequest().PathParams.Get("org_id"))
	if err != nil {
		return fault.NotFound("organisation")
	}
	d, err := authz.Check(ctx, "org:export", authz.Resource{Kind: "org", ID: org.String(), OrgID: org.String()})
	if err != nil {
		return err
	}
	x := export{store: s.store, id: rowid.New(), org: org, decision: d}
	return inTurn(ctx, func() error {
		return x.run(ctx, &patient{ResponseWriter: w, controller: http.NewResponseController(w)})
	})
}

// errExporting asks for as long again as it was waited: when the other export is done nobody knows.
var errExporting = &errs.Error{
	Code: errs.ResourceExhausted, Message: "another export is running, try again when it is done",
	Details: fault.Details{Reason: fault.RateLimited, RetryAfter: int(exportWait / time.Second)},
}

// inTurn runs fn when there is room for another export and none of its organisation runs, here or in
// another replica. It waits without a connection.
func inTurn(ctx context.Context, fn func() error) error {
	late := time.NewTimer(exportWait)
	defer late.Stop()
	again := time.NewTicker(exportRetry)
	defer again.Stop()
	for {
		select {
		case exporting <- struct{}{}:
			err := func() error {
				defer func() { <-exporting }()
				return fn()
			}()
			if !errors.Is(err, errExporting) {
				return err
			}
		case <-late.C:
			return errExporting
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-again.C:
		case <-late.C:
			return errExporting
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// patient gives every write its time, so that an export takes as long as it must and no longer than
// somebody reads it.
type patient struct {
	http.ResponseWriter
	controller *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.controller.SetWriteDeadline(time.Now().Add(exportStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// export is one run.
type export struct {
	store    store
	id, org  uuid.UUID
	decision authz.Decision
}

// run writes the archive to w. One that cannot be finished is in the audit log as failed.
func (x export) run(ctx context.Context, w http.ResponseWriter) error {
	options, err := x.store.settings(ctx, x.org, setting.ExportIncludeAudit, setting.ExportSigningSecret)
	if err != nil {
		return err
	}
	begun := false
	err = x.store.db.Snapshot(ctx, tenantdb.Org(x.org), func(tx pgx.Tx) error {
		seen, err := x.begin(ctx, tx)
		if err != nil {
			return err
		}
		begun = true
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", `attachment; filename="`+x.org.String()+`.ndjson"`)
		personal, err := personalFields(ctx, tx)
		if err != nil {
			return err
		}
		header := archive.Header{ID: x.id.String(), OrgID: x.org.String(), CreatedAt: seen.at, Personal: personal}
		out, err := archive.New(w, header, []byte(options[1].Resolved.Text()))
		if err != nil {
			return err
		}
		if err := x.sections(ctx, tx, out, options[0].Resolved.Bool()); err != nil {
			return err
		}
		// The manifest makes the archive whole, so what has to be kept of it is kept before.
		if err := x.succeeded(ctx, seen, out.Manifest()); err != nil {
			return err
		}
		return out.Close()
	})
	if err != nil && begun {
		err = errors.Join(fmt.Errorf("orgs: export: %w", err), x.failed(ctx))
	}
	return err
}

// moment is what the snapshot of an export saw.
type moment struct {
	at          time.Time
	suspendedAt *time.Time
}

// begin takes the snapshot. One export of an organisation runs at a time.
func (x export) begin(ctx context.Context, tx pgx.Tx) (m moment, err error) {
	var free bool
	err = tx.QueryRow(ctx, `
select pg_try_advisory_xact_lock(hashtextextended($1::text, 0)), clock_timestamp(), set_config('TimeZone', 'UTC', true) <> '',
       (select suspended_at from orgs.orgs where id = $2)`, "export "+x.org.String(), x.org).Scan(&free, &m.at, new(bool), &m.suspendedAt)
	if err != nil {
		return m, fmt.Errorf("orgs: export: %w", err)
	}
	if !free {
		return m, errExporting
	}
	return m, nil
}

// succeeded records a finished export, and that it saw the organisation suspended, if it did.
func (x export) succeeded(ctx context.Context, seen moment, m archive.Manifest) error {
	e, err := x.event(ctx, event.Succeeded, map[string]any{"export_id": x.id, "rows": m.Rows, "sha256": m.SHA256})
	if err != nil {
		return err
	}
	return x.store.db.Tx(ctx, tenantdb.Org(x.org), func(tx pgx.Tx) error {
		if err := quota.Meter(ctx, tx, x.org, quota.Exports, 1); err != nil { // before the row, as everywhere
			return err
		}
		if _, err := tx.Exec(ctx, "update orgs.orgs set exported_at = $3 where id = $1 and suspended_at = $2",
			x.org, seen.suspendedAt, seen.at); err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
}

// failed records an export that ended early, also when its client is gone: what was sent was seen.
func (x export) failed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	e, err := x.event(ctx, event.Failed, map[string]any{"export_id": x.id})
	if err != nil {
		return err
	}
	return x.store.db.Tx(ctx, tenantdb.Org(x.org), func(tx pgx.Tx) error { return e.Record(ctx, tx) })
}

func (x export) event(ctx context.Context, outcome event.Outcome, changes map[string]any) (event.Event, error) {
	return event.New(ctx, x.org, "org:export", event.Resource{Kind: "org", ID: x.org.String()}, outcome, x.decision).With(changes)
}
