package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// exportPage is how many entries are in memory at once.
	exportPage = 500
	// exportStall is how long a client may take nothing before it counts as gone.
	exportStall = 30 * time.Second
)

// form is how an export is written.
type form interface {
	describe() (contentType, extension string)
	begin(http.ResponseWriter) error
	entry(entry) error
	end() error
}

// entry is one line of an export. Without a payload only its number, ids and hash are there.
type entry struct {
	event.Event
	Pruned bool `json:"-"`
}

// exportRequest is what an export is asked for.
type exportRequest struct {
	org    uuid.UUID
	filter filter
	whole  bool // not narrowed
	proofs bool
	form   string
}

func parseExport(org uuid.UUID, query string) (exportRequest, error) {
	var c fault.Checks
	q, err := url.ParseQuery(query)
	if err != nil {
		c.Add("query", "is malformed")
	}
	x := exportRequest{org: org, form: "ndjson"}
	if format := q.Get("format"); format != "" {
		c.OneOf("format", format, "ndjson", "csv")
		x.form = format
	}
	switch as := q.Get("as"); {
	case as == "":
	case x.form == "csv":
		c.Add("as", "does not go with format csv")
	default:
		c.OneOf("as", as, "cloudevents", "ocsf")
		if as == "ocsf" {
			x.form = as
		}
	}
	if proofs := q.Get("proofs"); proofs != "" {
		c.OneOf("proofs", proofs, "true", "false")
		x.proofs = proofs == "true"
	}
	narrow := ListEventsRequest{Actor: q.Get("actor"), Action: q.Get("action"), Resource: q.Get("resource")}
	for name, target := range map[string]*time.Time{"from": &narrow.From, "to": &narrow.To} {
		if text := q.Get(name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				c.Add(name, "is not a time (RFC 3339)")
			}
			*target = at
		}
	}
	if err := c.Err(); err != nil {
		return x, err
	}
	x.whole = narrow == ListEventsRequest{}
	x.filter, err = narrow.filter()
	x.filter.org = &org
	return x, err
}

// export streams one log to w, a page at a time.
func (s *Service) export(ctx context.Context, w http.ResponseWriter, org uuid.UUID, query string) error {
	resource := authz.Resource{Kind: "audit_log"}
	if org != uuid.Nil {
		resource.OrgID = org.String()
	}
	d, err := authz.Check(ctx, "audit_log:export", resource)
	if err != nil {
		return err
	}
	x, err := parseExport(org, query)
	if err != nil {
		return err
	}
	state, err := s.store.log(ctx, org)
	if err != nil {
		return err
	}
	to, err := s.formOf(ctx, x, state)
	if err != nil {
		return err
	}
	e, err := event.New(ctx, org, "audit_log:export", event.Resource{Kind: "audit_log"}, event.Allowed, d).
		With(map[string]any{"form": x.form, "entries": state.Size})
	if err != nil {
		return err
	}
	if err := Record(ctx, e); err != nil {
		return fmt.Errorf("audit: export: %w", err)
	}
	return s.stream(ctx, w, x, state.Size, to)
}

func (s *Service) stream(ctx context.Context, w http.ResponseWriter, x exportRequest, size int64, to form) error {
	contentType, extension := to.describe()
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%s.%s"`, x.org, extension))
	if err := to.begin(w); err != nil {
		return err
	}
	deadline := http.NewResponseController(w)
	for after := int64(0); ; {
		if err := deadline.SetWriteDeadline(time.Now().Add(exportStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		entries, err := s.store.entries(ctx, x, after, size)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := to.entry(e); err != nil {
				return err
			}
		}
		if len(entries) < exportPage {
			return to.end()
		}
		after = entries[len(entries)-1].Seq
	}
}

// An entry is its leaf; the payload is there unless retention removed it. Only a narrowed export
// needs one to tell whether it is wanted.
const selectEntries = `
select l.event_id, l.org_id, coalesce(e.occurred_at, 'epoch'), coalesce(e.actor_id, ''), coalesce(e.actor_type, ''),
       coalesce(e.impersonator_id, ''), coalesce(e.action, ''), coalesce(e.resource_kind, ''), coalesce(e.resource_id, ''),
       coalesce(e.outcome, ''), coalesce(e.request_id, ''), coalesce(e.decision_id, ''), coalesce(e.policy_version, ''),
       coalesce(e.ip, ''), coalesce(e.changes, '{}'), e.personal, l.seq, l.leaf_hash, e.id is null
  from audit.leaves l
  left join audit.events e on e.org_id = l.org_id and e.id = l.event_id`

// entries are the next page of an export, by number.
func (s store) entries(ctx context.Context, x exportRequest, after, size int64) ([]entry, error) {
	where, args := "l.org_id = $1", []any{x.org}
	if !x.whole {
		args = nil
		where = x.filter.where(&args, asEither)
	}
	n := len(args)
	sql := fmt.Sprintf("%s where %s and l.org_id = $%d and l.seq > $%d and l.seq <= $%d order by l.seq limit %d",
		selectEntries, where, n+1, n+2, n+3, exportPage)
	var pruned []bool
	rows, err := tenantdb.Rows(ctx, s.db, scopeOf(x.org), func(row pgx.CollectableRow) (kept, error) {
		var gone bool
		k, err := scan(row, &gone)
		pruned = append(pruned, gone)
		return k, err
	}, sql, append(args, x.org, after, size)...)
	if err != nil {
		return nil, fmt.Errorf("audit: export: %w", err)
	}
	events, err := s.keys.unseal(ctx, rows)
	entries := make([]entry, len(events))
	for i, e := range events {
		entries[i] = entry{Event: e, Pruned: pruned[i]}
	}
	return entries, err
}
