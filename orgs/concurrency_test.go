package orgs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// house is an organisation without anybody, and what it takes to write to it.
type house struct {
	t   *testing.T
	org uuid.UUID
}

func newHouse(t *testing.T) house {
	t.Helper()
	h := house{t: t, org: rowid.New()}
	if _, err := open().create(context.Background(), org{ID: h.org, Slug: "t" + h.org.String(), Name: "Test"}, h.event(context.Background())); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h house) event(ctx context.Context) event.Event {
	return event.New(ctx, h.org, "test", event.Resource{Kind: "org", ID: h.org.String()}, event.Succeeded, authz.Decision{})
}

func (h house) exec(sql string, args ...any) {
	h.t.Helper()
	err := open().db.Tx(context.Background(), tenantdb.Org(h.org), func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), sql, args...)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h house) admit(roles ...string) member {
	h.t.Helper()
	m := member{UserID: rowid.New(), OrgRoles: roles, Version: 1}
	h.exec(insertMember, h.org, m.UserID, roles)
	return m
}

func (h house) invite() invitation {
	h.t.Helper()
	ctx, id := context.Background(), rowid.New()
	_, hash := newToken(h.org)
	i, err := open().createInvitation(ctx, invitation{
		ID: id, OrgID: h.org, Email: id.String() + "@example.test", OrgRoles: []string{"member"}, TeamIDs: []uuid.UUID{},
		InvitedBy: h.org, ExpiresAt: time.Now().Add(time.Hour),
	}, hash, h.event(ctx))
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}

func (h house) count(where string) int {
	return countRows(h.t, tenantdb.Org(h.org), "orgs.memberships", "org_id = $1 and "+where, h.org)
}

// acting is a context in which m is the caller.
func (h house) acting(m member) context.Context {
	c, tenant := &principal.Caller{UserID: m.UserID.String()}, &principal.Tenant{OrgID: h.org.String(), OrgRoles: m.OrgRoles}
	return principal.NewContext(context.Background(), principal.New(c, tenant))
}

// together runs the functions at once and gives their errors.
func together(fns ...func() error) []error {
	var wg sync.WaitGroup
	gate, out := make(chan struct{}), make([]error, len(fns))
	for i, fn := range fns {
		wg.Go(func() {
			<-gate
			out[i] = fn()
		})
	}
	close(gate)
	wg.Wait()
	return out
}

// won counts the errors that are nil, and wants every other to be one of the others.
func won(t *testing.T, errs []error, others ...error) (n int) {
	t.Helper()
	for _, err := range errs {
		switch {
		case err == nil:
			n++
		case !slices.ContainsFunc(others, func(other error) bool { return errors.Is(err, other) }):
			t.Errorf("lost by %v", err)
		}
	}
	return n
}

func TestTheLastSeatIsTakenOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.admit(roleOwner)
	h.admit("member")
	h.exec("update orgs.orgs set seats = 3 where id = $1", h.org)
	accepts := make([]func() error, 200)
	for n := range accepts {
		i := h.invite()
		accepts[n] = func() error {
			return open().accept(context.Background(), i, rowid.New(), h.event(context.Background()))
		}
	}
	if n := won(t, together(accepts...), errSeatLimit); n != 1 {
		t.Errorf("%d of 200 took the last seat", n)
	}
	if n := h.count("true"); n != 3 {
		t.Errorf("%d members on 3 seats", n)
	}
	if n := countRows(t, tenantdb.Org(h.org), "orgs.invitations", "status = 'accepted'"); n != 1 {
		t.Errorf("%d invitations are used up", n)
	}
}

func TestAnInvitationIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i, user := h.invite(), rowid.New()
	accepts := make([]func() error, 20)
	for n := range accepts {
		by := user
		if n%2 == 1 {
			by = rowid.New()
		}
		accepts[n] = func() error { return open().accept(context.Background(), i, by, h.event(context.Background())) }
	}
	if n := won(t, together(accepts...), errStale); n != 1 {
		t.Errorf("accepted %d times", n)
	}
	if n := h.count("true"); n != 1 {
		t.Errorf("%d members", n)
	}
}

func TestTwoOwnersCannotDemoteEachOther(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		h := newHouse(t)
		a, b := h.admit(roleOwner), h.admit(roleOwner)
		errs := together(
			func() error {
				_, err := open().changeRoles(h.acting(a), h.org, b, []string{"member"}, h.event(h.acting(a)))
				return err
			},
			func() error {
				if round%2 == 0 {
					return open().removeMember(h.acting(b), h.org, a, h.event(h.acting(b)))
				}
				_, err := open().changeRoles(h.acting(b), h.org, a, []string{"member"}, h.event(h.acting(b)))
				return err
			},
		)
		if n := won(t, errs, errLastOwner); n != 1 {
			t.Fatalf("round %d: %d won", round, n)
		}
		if n := h.count("'owner' = any(org_roles)"); n != 1 {
			t.Fatalf("round %d: %d owners left", round, n)
		}
	}
}

// With a third owner in the house there is always one left, yet whoever was demoted first no longer
// demotes.
func TestWhoeverWasDemotedDemotesNobody(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		h := newHouse(t)
		h.admit(roleOwner)
		a, b := h.admit(roleOwner), h.admit(roleOwner)
		demote := func(by, whom member) func() error {
			return func() error {
				_, err := open().changeRoles(h.acting(by), h.org, whom, []string{"member"}, h.event(h.acting(by)))
				return err
			}
		}
		if n := won(t, together(demote(a, b), demote(b, a)), errStale); n != 1 {
			t.Fatalf("round %d: %d won", round, n)
		}
	}
}

func TestEveryOwnerLeavingLeavesOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	leave := make([]func() error, 10)
	for n := range leave {
		m := h.admit(roleOwner)
		leave[n] = func() error { return open().removeMember(h.acting(m), h.org, m, h.event(h.acting(m))) }
	}
	if n := won(t, together(leave...), errLastOwner); n != len(leave)-1 {
		t.Errorf("%d of %d left", n, len(leave))
	}
}

// Of those who change one version of a row, one does; the others are told.
func TestAVersionIsChangedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, k := range kinds {
		r, ok, err := open().resource(context.Background(), k, b.org, b.resource)
		if err != nil || !ok {
			t.Fatal(err)
		}
		h := house{t: t, org: b.org}
		edits := make([]func() error, 20)
		for n := range edits {
			mine := r
			mine.Title = fmt.Sprint("edit ", n)
			edits[n] = func() error {
				_, err := open().updateResource(context.Background(), k, mine, h.event(context.Background()))
				return err
			}
		}
		if n := won(t, together(edits...), errStale); n != 1 {
			t.Errorf("%s: %d changed the same version", k.name, n)
		}
	}
}

func TestAWriteThatNamesNoVersionIsMadeAgain(t *testing.T) {
	t.Parallel()
	overtaken := func(times int) func() (int, error) {
		n := 0
		return func() (int, error) {
			if n++; n <= times {
				return 0, fmt.Errorf("orgs: write: %w", errStale)
			}
			return n, nil
		}
	}
	for name, c := range map[string]struct {
		ifMatch string
		times   int
		reason  fault.Reason
		tries   int
	}{
		"not overtaken":           {tries: 1},
		"overtaken":               {times: 3, tries: 4},
		"any version will do":     {ifMatch: "*", times: 1, tries: 2},
		"overtaken again, always": {times: mostTries, reason: fault.VersionConflict},
		"it named a version":      {ifMatch: etag.Of(1), times: 1, reason: fault.VersionConflict},
	} {
		n, err := latest(c.ifMatch, overtaken(c.times))
		if fault.DetailsOf(err).Reason != c.reason || (c.reason == "" && n != c.tries) {
			t.Errorf("%s: %d tries, %v", name, n, err)
		}
	}
}

// whileHeld runs fn while a transaction of the organisation has done what first says of id; once fn waits
// for it, it does what then says, and ends.
func (h house) whileHeld(fn func() error, first, then string, id uuid.UUID) error {
	h.t.Helper()
	ctx, done := context.Background(), make(chan error, 1)
	err := open().db.Tx(ctx, tenantdb.Org(h.org), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, first, id); err != nil {
			return err
		}
		go func() { done <- fn() }()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var waits bool
			if err := tx.QueryRow(ctx, "select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))").Scan(&waits); err != nil {
				return err
			}
			if waits {
				_, err := tx.Exec(ctx, then, id)
				return err
			}
			if time.Now().After(deadline) {
				return errors.New("nobody waits")
			}
		}
	})
	return errors.Join(err, <-done)
}

func TestAnInvitationIsAcceptedWhileItsTeamIsDeleted(t *testing.T) {
	t.Parallel()
	ctx, h, user := context.Background(), newHouse(t), rowid.New()
	going, staying := rowid.New(), rowid.New()
	h.exec("insert into orgs.teams (org_id, id, name) values ($1, $2, 'going'), ($1, $3, 'staying')", h.org, going, staying)
	i := h.invite()
	i.TeamIDs = []uuid.UUID{going, staying}
	accept := func() error { return open().accept(ctx, i, user, h.event(ctx)) }
	if err := h.whileHeld(accept, "delete from orgs.teams where id = $1", "select $1::uuid", going); err != nil {
		t.Fatal(err)
	}
	if n := countRows(t, tenantdb.Org(h.org), "orgs.team_memberships", "user_id = $1 and team_id = $2", user, staying); n != 1 {
		t.Errorf("in %d of the teams that stay", n)
	}
}
