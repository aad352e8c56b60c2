package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// write puts an event into a log, changed by with.
func write(t *testing.T, s store, org uuid.UUID, with func(*event.Event)) uuid.UUID {
	t.Helper()
	e := newEvent(org)
	with(&e)
	if err := s.append(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// ids are all that a filter finds, over as many pages as it takes.
func ids(t *testing.T, s store, f filter) (all []uuid.UUID) {
	t.Helper()
	f.limit = 2
	for {
		page, err := s.search(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		for _, e := range page {
			all = append(all, e.ID)
		}
		last := page[len(page)-1]
		f.before = position{At: last.OccurredAt, ID: last.ID}
	}
}

// A resource is a kind or an id, whichever fits, and one that is both comes once.
func TestEveryFilterFindsItsEventsInPages(t *testing.T) {
	t.Parallel()
	s, here, there := newStore(testDB()), rowid.New(), rowid.New()
	word := "w" + strings.ReplaceAll(rowid.New().String(), "-", "")
	start := time.Now().UTC().Truncate(time.Microsecond)
	var made []uuid.UUID // oldest first
	for i := range 7 {
		org := here
		if i >= 5 {
			org = there
		}
		made = append(made, write(t, s, org, func(e *event.Event) {
			e.OccurredAt = start.Add(time.Duration(i) * time.Millisecond)
			e.Actor.ID, e.Action = word, word
			switch i % 4 {
			case 0:
				e.Resource = event.Resource{Kind: word, ID: "x"}
			case 1:
				e.Resource = event.Resource{Kind: "setting", ID: word}
			case 2:
				e.Resource = event.Resource{Kind: word, ID: word}
			case 3:
				e.Actor.ID, e.Action, e.Resource = "somebody", "something", event.Resource{Kind: "project", ID: rowid.New().String()}
			}
		}))
	}
	number(t, s, here)
	number(t, s, there)
	pick := func(of ...int) (out []uuid.UUID) {
		for _, i := range slices.Backward(of) {
			out = append(out, made[i])
		}
		return out
	}
	for name, c := range map[string]struct {
		f    filter
		want []uuid.UUID
	}{
		"one log":                    {filter{org: &here}, pick(0, 1, 2, 3, 4)},
		"actor":                      {filter{org: &here, actor: word}, pick(0, 1, 2, 4)},
		"action":                     {filter{org: &here, action: word}, pick(0, 1, 2, 4)},
		"resource":                   {filter{org: &here, resource: word}, pick(0, 1, 2, 4)},
		"resource and action":        {filter{org: &here, resource: word, action: word}, pick(0, 1, 2, 4)},
		"from":                       {filter{org: &here, from: start.Add(3 * time.Millisecond)}, pick(3, 4)},
		"to":                         {filter{org: &here, to: start.Add(3 * time.Millisecond)}, pick(0, 1, 2)},
		"actor in any log":           {filter{actor: word}, pick(0, 1, 2, 4, 5, 6)},
		"action in any log":          {filter{action: word}, pick(0, 1, 2, 4, 5, 6)},
		"resource in any log":        {filter{resource: word}, pick(0, 1, 2, 4, 5, 6)},
		"resource in any log, later": {filter{resource: word, from: start.Add(4 * time.Millisecond), to: start.Add(6 * time.Millisecond)}, pick(4, 5)},
		"nothing":                    {filter{org: &here, actor: word + "x"}, nil},
	} {
		if got := ids(t, s, c.f); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// A page costs its length and not the log's: whatever the filter, an index has it in the page's order.
func TestEveryFilterHasAnIndex(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), newStore(testDB()), rowid.New()
	err := s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
insert into audit.events (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action, resource_kind, resource_id,
       outcome, request_id, decision_id, policy_version, ip, changes, leaf_hash)
select $1, gen_random_uuid(), now() - n * interval '1 second', 'a' || n % 97, 'user', '', 'do' || n % 89, 'kind' || n % 83, 'r' || n,
       'succeeded', '', '', '', '', '{}', sha256(n::text::bytea) from generate_series(1, 5000) n`, org)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Pool().Exec(ctx, "analyze audit.events"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    filter
		want []string
	}{
		"none":                {filter{org: &org}, []string{"events_newest"}},
		"time":                {filter{org: &org, from: time.Now().Add(-time.Hour)}, []string{"events_newest"}},
		"actor":               {filter{org: &org, actor: "a1"}, []string{"events_actor"}},
		"action":              {filter{org: &org, action: "do1"}, []string{"events_action"}},
		"kind or id":          {filter{org: &org, resource: "kind1"}, []string{"events_kind", "events_resource"}},
		"id":                  {filter{org: &org, resource: rowid.New().String()}, []string{"events_resource"}},
		"any log":             {filter{}, []string{"events_all"}},
		"actor in any log":    {filter{actor: "a1"}, []string{"events_actor"}},
		"action in any log":   {filter{action: "do1"}, []string{"events_action"}},
		"resource in any log": {filter{resource: "kind1"}, []string{"events_kind", "events_resource"}},
	} {
		c.f.limit = 51
		sql, args := c.f.page()
		var plan []string
		err := s.db.Tx(ctx, c.f.scope(), func(tx pgx.Tx) error {
			// What is left is whether an index can do it, whatever the planner thinks of a small table.
			if _, err := tx.Exec(ctx, "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off"); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, "explain (costs off) "+sql, args...)
			if err != nil {
				return err
			}
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := strings.Join(plan, "\n")
		for _, index := range c.want {
			if !strings.Contains(text, fmt.Sprintf("using %s on events", index)) {
				t.Errorf("%s does not walk %s:\n%s", name, index, text)
			}
		}
		if strings.Contains(text, "Seq Scan on events") {
			t.Errorf("%s reads every event:\n%s", name, text)
		}
	}
}
