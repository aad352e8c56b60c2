package orgs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/archive"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

func TestOnlyWhatIsSuspendedUnheldAndExportedIsErased(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(ago time.Duration) *time.Time { then := now.Add(-ago); return &then }
	for name, c := range map[string]struct {
		o       offboarding
		without bool
		want    error
	}{
		"ready":                  {o: offboarding{Status: "suspended", SuspendedAt: at(2 * time.Hour), ExportedAt: at(time.Hour)}},
		"without an export":      {o: offboarding{Status: "suspended", SuspendedAt: at(2 * time.Hour)}, want: errExportRequired},
		"asked for without":      {o: offboarding{Status: "suspended", SuspendedAt: at(2 * time.Hour)}, without: true},
		"held":                   {o: offboarding{Status: "suspended", SuspendedAt: at(2 * time.Hour), ExportedAt: at(time.Hour), HeldAt: at(0)}, want: errHeld},
		"held, asked for anyway": {o: offboarding{Status: "suspended", SuspendedAt: at(2 * time.Hour), HeldAt: at(0)}, without: true, want: errHeld},
		"too early":              {o: offboarding{Status: "suspended", SuspendedAt: at(time.Minute), ExportedAt: at(0)}, want: errEraseTooEarly},
		"active":                 {o: offboarding{Status: "active"}, without: true, want: errNotSuspended},
	} {
		if got := c.o.mayBeErased(now, time.Hour, c.without); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func status(t *testing.T, org uuid.UUID, from, to string) error {
	t.Helper()
	ctx := context.Background()
	e, err := orgEvent(ctx, org, "org:suspend", authz.Decision{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = open().setStatus(ctx, org, from, to, e)
	return err
}

// Whatever tables there will be: after an erasure none has a row of the organisation, except those
// that keep its hashes and its tombstone.
func TestAnErasedOrganisationLeavesATombstoneAndHashes(t *testing.T) {
	t.Parallel()
	ctx, b, other := context.Background(), setup(t), setup(t)
	service := &Service{store: open()}
	if err := status(t, b.org, "active", "suspended"); err != nil {
		t.Fatal(err)
	}
	if _, err := service.erase(ctx, b.org, authz.Decision{}, false); !errors.Is(err, errExportRequired) {
		t.Fatalf("not exported: %v", err)
	}
	exported(t, b, "")
	o, err := service.erase(ctx, b.org, authz.Decision{}, false)
	if err != nil || o.ErasedAt == nil {
		t.Fatalf("got %+v, %v", o, err)
	}
	stays := func(table string) bool {
		// The log has a retention of its own, with the decisions that it refers to; what licensing
		// holds is erased where licensing is part of the program.
		return table == "orgs.orgs" || strings.HasPrefix(table, "audit.") && table != "audit.sinks" && table != "audit.deliveries" || table == "authz.decisions" || strings.HasPrefix(table, "licensing.")
	}
	for table, column := range tenantTables(t) {
		if n := countRows(t, tenantdb.Org(b.org), table, column+" = $1", b.org); n != 0 && !stays(table) {
			t.Errorf("%d rows left in %s", n, table)
		}
		if n := countRows(t, tenantdb.Org(other.org), table, column+" = $1", other.org); n == 0 {
			t.Errorf("another organisation's row in %s is gone", table)
		}
	}
	tombstone, ok, err := open().org(ctx, platform, b.org)
	if err != nil || !ok || tombstone.Name != "Erased" || strings.Contains(tombstone.Slug, "t"+b.org.String()) {
		t.Errorf("got %+v, %v", tombstone, err)
	}
	before := *o.ErasedAt
	if o, err = service.erase(ctx, b.org, authz.Decision{}, false); err != nil || !o.ErasedAt.Equal(before) {
		t.Errorf("once more: %+v, %v", o, err)
	}
	if err := status(t, b.org, "suspended", "active"); !errors.Is(err, errErased) {
		t.Errorf("it came back: %v", err)
	}
}

// What a service above this one holds, which is no part of this test binary.
func init() {
	Hold(Holding{
		Archive: func(context.Context, pgx.Tx, uuid.UUID, *archive.Writer) error { return nil },
		Lock: func(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
			_, err := tx.Exec(ctx, "select from licensing.licenses where org_id = $1 for update", org)
			return err
		},
		Erase: func(context.Context, pgx.Tx, uuid.UUID) error { return nil },
	})
}

// Whoever changes a licence holds it and goes on to the organisation: an erasure waits for them, and
// they not for it.
func TestAnOrganisationIsErasedBehindAChangeOfItsLicence(t *testing.T) {
	t.Parallel()
	b, service := setup(t), &Service{store: open()}
	if err := status(t, b.org, "active", "suspended"); err != nil {
		t.Fatal(err)
	}
	erase := func() error {
		_, err := service.erase(context.Background(), b.org, authz.Decision{}, true)
		return err
	}
	err := house{t: t, org: b.org}.whileHeld(erase,
		"select from licensing.licenses where org_id = $1 for update", "update orgs.orgs set license_tier = 'pro' where id = $1", b.org)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := open().offboarding(context.Background(), b.org); err != nil || o.ErasedAt == nil {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestAnExportCountsOnlyForTheSuspensionThatItSaw(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	exported(t, b, "") // of an active organisation
	read := func() offboarding {
		t.Helper()
		o, err := open().offboarding(ctx, b.org)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if err := status(t, b.org, "active", "suspended"); err != nil {
		t.Fatal(err)
	}
	if o := read(); o.SuspendedAt == nil || o.ExportedAt != nil {
		t.Errorf("just suspended: %+v", o)
	}
	exported(t, b, "")
	if o := read(); o.ExportedAt == nil {
		t.Errorf("exported: %+v", o)
	}
	for _, step := range [][2]string{{"suspended", "active"}, {"active", "suspended"}} {
		if err := status(t, b.org, step[0], step[1]); err != nil {
			t.Fatal(err)
		}
	}
	if o := read(); o.ExportedAt != nil {
		t.Errorf("suspended again: %+v", o)
	}
}

func TestErasingAPersonTakesTheInvitationsToTheirAddress(t *testing.T) {
	t.Parallel()
	ctx, b, other := context.Background(), setup(t), setup(t)
	email := "erase." + b.user.String() + "@example.test"
	for _, in := range []bundle{b, other} {
		err := open().db.Tx(ctx, tenantdb.Org(in.org), func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `insert into orgs.invitations (org_id, id, email, org_roles, token_hash, invited_by, expires_at)
				values ($1, gen_random_uuid(), $2::text, '{member}', sha256($2::text::bytea), $3, now())`, in.org, email, in.user)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := open().db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update identity.users set email = upper($2::text), name = 'Canary' where id = $1", b.user, email)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e, err := orgEvent(ctx, uuid.Nil, "user:erase", authz.Decision{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := open().erasePerson(ctx, b.user, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, in := range []bundle{b, other} {
		if n := countRows(t, tenantdb.Org(in.org), "orgs.invitations", "email = $1", email); n != 0 {
			t.Error("an invitation is left")
		}
		if n := countRows(t, tenantdb.Org(in.org), "orgs.invitations", "true"); n != 1 {
			t.Errorf("%d invitations to others, want 1", n)
		}
	}
	if n := countRows(t, tenantdb.Scope{}, "identity.users", "id = $1 and email = '' and name = '' and status = 'erased'", b.user); n != 1 {
		t.Error("the user is no tombstone")
	}
	if n := countRows(t, platform, "orgs.invitations", "true"); n != 0 {
		t.Errorf("the platform sees %d invitations", n)
	}
	e, err := orgEvent(ctx, uuid.Nil, "user:erase", authz.Decision{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := open().erasePerson(ctx, b.org, e); fault.DetailsOf(err).Reason != fault.NotFoundReason {
		t.Errorf("nobody: %v", err)
	}
}

// Their memberships stay; the seats are free again, and whoever is left to own the organisation cannot go.
func TestWhoeverWasErasedOwnsNothingAndTakesNoSeat(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), newHouse(t)
	last, gone := h.admit(roleOwner), h.admit(roleOwner)
	h.exec(`insert into identity.users (id, issuer, subject, email, email_verified, username, name)
		select id, 'https://erased.test', id::text, '', false, '', '' from unnest($1::uuid[]) id`, []uuid.UUID{last.UserID, gone.UserID})
	h.exec("update orgs.orgs set seats = 2 where id = $1", h.org)
	erase := func(m member) {
		t.Helper()
		e, err := orgEvent(ctx, uuid.Nil, "user:erase", authz.Decision{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := open().erasePerson(ctx, m.UserID, e); err != nil {
			t.Fatal(err)
		}
	}
	erase(gone)
	if _, err := open().changeRoles(h.acting(last), h.org, last, []string{"member"}, h.event(ctx)); !errors.Is(err, errLastOwner) {
		t.Errorf("the last owner was demoted: %v", err)
	}
	if err := open().removeMember(h.acting(last), h.org, last, h.event(ctx)); !errors.Is(err, errLastOwner) {
		t.Errorf("the last owner was removed: %v", err)
	}
	if err := open().accept(ctx, h.invite(), rowid.New(), h.event(ctx)); err != nil {
		t.Errorf("the seat is taken: %v", err)
	}
	if err := open().accept(ctx, h.invite(), rowid.New(), h.event(ctx)); !errors.Is(err, errSeatLimit) {
		t.Errorf("a third on two seats: %v", err)
	}
	if u, ok, err := UsageOf(ctx, open().db, h.org); err != nil || !ok || u.Members != 2 || h.count("true") != 3 {
		t.Errorf("%d of %d members count, %v", u.Members, h.count("true"), err)
	}
	if err := open().removeMember(h.acting(last), h.org, gone, h.event(ctx)); err != nil {
		t.Errorf("the erased one stays for ever: %v", err)
	}
	erase(last)
	if n := h.count("'owner' = any(org_roles) and erased_at is null"); n != 0 {
		t.Errorf("%d owners are left", n)
	}
	tombstone, ok, err := open().member(ctx, h.org, last.UserID)
	if err != nil || !ok || !tombstone.Erased {
		t.Fatalf("the last owner is %+v, %v, %v", tombstone, ok, err)
	}
	if tombstone, err = open().changeRoles(ctx, h.org, tombstone, []string{"member"}, h.event(ctx)); err != nil {
		t.Errorf("the erased owner was not demoted: %v", err)
	}
	if _, err = open().changeRoles(ctx, h.org, tombstone, []string{roleOwner}, h.event(ctx)); err != nil {
		t.Error(err)
	}
	if tombstone, _, err = open().member(ctx, h.org, last.UserID); err == nil {
		err = open().removeMember(ctx, h.org, tombstone, h.event(ctx))
	}
	if err != nil {
		t.Errorf("the erased owner was not removed: %v", err)
	}
}

// The platform marks the memberships of one person: it adds none, ends none, and sees none once that is done.
func TestAnErasureOnlyMarksMemberships(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), newHouse(t)
	m := h.admit("member")
	as := func(sql string, args ...any) (rows int64, err error) {
		err = open().db.Tx(ctx, platform, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "select set_config('app.erased_user', $1, true)", m.UserID.String()); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, sql, args...)
			rows = tag.RowsAffected()
			return err
		})
		return rows, err
	}
	if n, err := as("select from orgs.memberships"); err != nil || n != 1 {
		t.Errorf("it sees %d memberships, %v", n, err)
	}
	if n, err := as("delete from orgs.memberships where user_id = $1", m.UserID); err != nil || n != 0 {
		t.Errorf("it ended %d memberships, %v", n, err)
	}
	if _, err := as("insert into orgs.memberships (org_id, user_id, org_roles) values ($1, $2, '{owner}')", newHouse(t).org, m.UserID); err == nil {
		t.Error("it added a membership")
	}
	err := open().db.Tx(ctx, platform, func(tx pgx.Tx) error {
		if err := markMemberships(ctx, tx, m.UserID); err != nil {
			return err
		}
		if tag, err := tx.Exec(ctx, "select from orgs.memberships"); err != nil || tag.RowsAffected() != 0 {
			t.Errorf("it goes on seeing %d memberships, %v", tag.RowsAffected(), err)
		}
		return nil
	})
	if err != nil || h.count("erased_at is not null") != 1 {
		t.Errorf("%d memberships are marked, %v", h.count("erased_at is not null"), err)
	}
}
