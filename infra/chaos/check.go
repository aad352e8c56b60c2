package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"encore.app/audit/ledger"
	"github.com/jackc/pgx/v5"
)

// finding is one thing that must hold.
type finding struct {
	what string
	got  string
	ok   bool
}

type findings []finding

func (f findings) ok() bool {
	for _, one := range f {
		if !one.ok {
			return false
		}
	}
	return true
}

func (f *findings) add(ok bool, what, got string, args ...any) {
	*f = append(*f, finding{what: what, got: fmt.Sprintf(got, args...), ok: ok})
}

// settle checks until everything holds, or time is up.
func settle(ctx context.Context, s *stack, l *load, list receivers) (findings, error) {
	over := time.Now().Add(settleWithin)
	for {
		found, err := check(ctx, s, l, list)
		if err == nil && found.ok() || time.Now().After(over) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// check counts once. An error says that it could not.
func check(ctx context.Context, s *stack, l *load, list receivers) (findings, error) {
	conn, err := pgx.Connect(ctx, s.super)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var f findings
	if err := checkChanges(ctx, conn, l, &f); err != nil {
		return nil, err
	}
	if err := checkSinks(ctx, conn, list, &f); err != nil {
		return nil, err
	}
	if err := checkQueues(ctx, s, &f); err != nil {
		return nil, err
	}
	if !f.ok() { // proofs cost the most and say the least while work is left
		return f, nil
	}
	return f, checkProofs(ctx, s, l, &f)
}

// checkChanges holds what was acknowledged against what is there, and what is there against the log.
func checkChanges(ctx context.Context, conn *pgx.Conn, l *load, f *findings) error {
	kept, err := counts(ctx, conn, `
select id::text, (count(*) over (partition by title))::int from orgs.projects where org_id = $1 and title like 'chaos-%'`, acme)
	if err != nil {
		return err
	}
	events, err := counts(ctx, conn, `
select resource_id, count(*)::int from audit.events
 where org_id = $1 and resource_kind = 'project' and action = 'create' and outcome = 'succeeded' group by 1`, acme)
	if err != nil {
		return err
	}
	lost, changed, missing, repeated, doubled, invented := 0, 0, 0, 0, 0, 0
	for _, ids := range l.answers {
		if len(ids) > 1 {
			changed++
		}
		for id := range ids {
			if kept[id] == 0 {
				lost++
			}
		}
	}
	for id, ofKey := range kept {
		if ofKey > 1 {
			repeated++
		}
		switch n := events[id]; {
		case n == 0:
			missing++
		case n > 1:
			doubled++
		}
	}
	for id := range events {
		if kept[id] == 0 {
			invented++
		}
	}
	unanswered := int(l.changes.Load()) - len(l.answers)
	f.add(len(l.answers) > 0 && lost == 0 && unanswered == 0, "acknowledged changes are there",
		"%d acknowledged, %d lost, %d never answered", len(l.answers), lost, unanswered)
	f.add(repeated == 0 && changed == 0, "an Idempotency-Key has one effect and one answer",
		"%d keys in %d calls, %d answered again; %d effects twice, %d answers changed", l.changes.Load(), l.calls.Load(), l.replays.Load(), repeated, changed)
	f.add(missing == 0 && doubled == 0 && invented == 0, "a change has exactly one event",
		"%d changes, %d without, %d with more, %d events of no change", len(kept), missing, doubled, invented)
	f.add(l.reads[http.StatusTooManyRequests] > 0 && l.reads[http.StatusOK] > 0, "rate limits are on",
		"of another organisation that asks too much %d reads passed and %d were refused", l.reads[http.StatusOK], l.reads[http.StatusTooManyRequests])
	return nil
}

// checkSinks holds what each receiver got against the log.
func checkSinks(ctx context.Context, conn *pgx.Conn, list receivers, f *findings) error {
	for _, r := range list {
		want, err := counts(ctx, conn, "select event_id::text, seq::int from audit.leaves where org_id = $1 and seq >= $2", acme, r.from)
		if err != nil {
			return err
		}
		r.mu.Lock()
		missing, wrong := 0, 0
		for id, seq := range want {
			if got, there := r.effects[id]; !there {
				missing++
			} else if got != int64(seq) {
				wrong++
			}
		}
		extra := len(r.effects) - (len(want) - missing)
		f.add(len(want) > 0 && missing == 0 && wrong == 0 && extra == 0, "sink "+r.name+" had each event's effect once",
			"%d events, %d effects of %d calls, %d missing, %d misnumbered, %d of no event", len(want), len(r.effects), r.calls, missing, wrong, extra)
		r.mu.Unlock()
	}
	return nil
}

func checkQueues(ctx context.Context, s *stack, f *findings) error {
	var queues struct {
		Items []struct {
			Name        string
			Depth, Dead int
		}
	}
	if err := s.call(ctx, "root@tenantry.test", "admin-console", "GET", "/api/v1/admin/queues", nil, &queues, http.StatusOK); err != nil {
		return err
	}
	left, all := 0, []string{}
	for _, q := range queues.Items {
		left += q.Depth + q.Dead
		all = append(all, fmt.Sprintf("%s %d (%d dead)", q.Name, q.Depth, q.Dead))
	}
	f.add(len(all) > 1 && left == 0, "queues are drained", "%s", strings.Join(all, ", "))
	return nil
}

// checkProofs has the offline verifier read the whole log, against a checkpoint from the beginning.
func checkProofs(ctx context.Context, s *stack, l *load, f *findings) error {
	token, err := s.signIn("ada@acme.test", "org-console")
	if err != nil {
		return err
	}
	export, err := s.send(ctx, patient, token, "GET", "/api/v1/org/"+acme+"/audit/export?format=ndjson", nil, http.StatusOK)
	if err != nil {
		return err
	}
	keys, err := ledger.ParseKeys(s.signing, "")
	if err != nil {
		return err
	}
	var known []string
	for _, k := range keys.Public() {
		known = append(known, k.VKey)
	}
	o := ledger.Options{}
	if o.Keys, err = ledger.Verifiers(known...); err != nil {
		return err
	}
	if l.checkpoint == "" {
		return errors.New("no early checkpoint was kept")
	}
	early, err := ledger.OpenCheckpoint(l.checkpoint, o.Keys)
	if err != nil {
		return err
	}
	o.Earlier = &early
	r, err := ledger.Verify(bytes.NewReader(export), o)
	if err != nil {
		return err
	}
	f.add(r.OK() && r.Complete, "the log verifies offline", "%d entries, continues the checkpoint of %d, %d findings", r.Entries, early.Size, r.Total)
	return nil
}

func counts(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (map[string]int, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	var id string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error { out[id] = n; return nil })
	return out, err
}

// report prints what was done and what came of it.
func report(w io.Writer, length time.Duration, kills map[string]int, l *load, found findings) {
	fmt.Fprintf(w, "\n%s of load, %d changes attempted, killed:", length, l.changes.Load())
	for _, name := range []string{"web", "worker", "rabbitmq", "redis", "postgres"} {
		fmt.Fprintf(w, " %s %d", name, kills[name])
	}
	fmt.Fprintf(w, "\nother answers on the way: %s\n", l.otherAnswers())
	for _, one := range found {
		verdict := "ok   "
		if !one.ok {
			verdict = "WRONG"
		}
		fmt.Fprintf(w, "  %s  %-45s %s\n", verdict, one.what, one.got)
	}
}
