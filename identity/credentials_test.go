package identity

import (
	"context"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/identity/secret"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

func exec(t testing.TB, scope tenantdb.Scope, sql string, args ...any) {
	t.Helper()
	err := open().Tx(context.Background(), scope, func(tx pgx.Tx) error {
		tag, err := tx.Exec(context.Background(), sql, args...)
		if err == nil && tag.RowsAffected() != 1 {
			t.Fatalf("%s: %d rows", sql, tag.RowsAffected())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func somebody(t testing.TB, platformRoles ...string) uuid.UUID {
	t.Helper()
	id := rowid.New()
	exec(t, tenantdb.Scope{}, `insert into identity.users (id, issuer, subject, email, email_verified, username, name, platform_roles)
		values ($1, 'https://id.test', $2, '', false, '', '', $3)`, id, id.String(), append([]string{}, platformRoles...))
	return id
}

func done(ctx context.Context, org uuid.UUID) event.Event {
	return event.New(ctx, org, "test", event.Resource{Kind: "api_key"}, event.Succeeded, authz.Decision{})
}

func reason(t *testing.T, caller *principal.Caller, err error) fault.Reason {
	t.Helper()
	if (caller == nil) == (err == nil) {
		t.Fatalf("got %+v, %v", caller, err)
	}
	return fault.DetailsOf(err).Reason
}

func TestAKeyEnds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := &clock{now: time.Now()}
	k := newKeys(open(), c.Now)
	type made struct {
		org, maker, id uuid.UUID
		hash           digest
	}
	create := func(t *testing.T) made {
		m := made{org: rowid.New(), maker: somebody(t), id: rowid.New()}
		raw := secret.New(secret.APIKey, m.org)
		m.hash = secret.Hash(raw)
		_, err := k.create(ctx, apiKey{OrgID: m.org, ID: m.id, Name: "k", OrgRoles: []string{"member"}, Prefix: secret.Prefix(raw),
			CreatedBy: m.maker, ExpiresAt: c.Now().Add(time.Hour)}, m.hash, done(ctx, m.org))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.caller(ctx, m.org, m.hash); err != nil || got.APIKeyID != m.id.String() || got.UserID != m.maker.String() ||
			got.OrgIDClaim != m.org.String() || got.MFALevel != 0 || len(got.KeyRoles) != 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		return m
	}
	for name, test := range map[string]struct {
		end  func(*testing.T, made)
		want fault.Reason
	}{
		"when it is revoked": {func(t *testing.T, m made) {
			if err := k.revoke(ctx, m.org, m.id, done(ctx, m.org)); err != nil {
				t.Fatal(err)
			}
		}, fault.TokenRevoked},
		"with its maker's account": {func(t *testing.T, m made) {
			exec(t, tenantdb.Scope{}, "update identity.users set status = 'disabled' where id = $1", m.maker)
		}, fault.TokenRevoked},
		"when it expires": {func(t *testing.T, m made) {
			exec(t, tenantdb.Org(m.org), "update identity.api_keys set expires_at = $2 where id = $1", m.id, c.Now())
		}, fault.TokenExpired},
		"when its overlap is over": {func(t *testing.T, m made) {
			if _, err := k.rotate(ctx, m.org, m.id, secret.Hash("next"), "", -time.Minute, done(ctx, m.org)); err != nil {
				t.Fatal(err)
			}
		}, fault.TokenExpired},
		"when it is replaced twice": {func(t *testing.T, m made) {
			for _, next := range []string{"next", "and the next"} {
				if _, err := k.rotate(ctx, m.org, m.id, secret.Hash(next), "", time.Hour, done(ctx, m.org)); err != nil {
					t.Fatal(err)
				}
			}
		}, fault.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			m := create(t)
			test.end(t, m)
			c.advance(userFreshness)
			got, err := k.caller(ctx, m.org, m.hash)
			if r := reason(t, got, err); r != test.want {
				t.Errorf("got %s, want %s", r, test.want)
			}
		})
	}
	m := create(t)
	if got, err := k.caller(ctx, rowid.New(), m.hash); err != nil || got.OrgIDClaim != m.org.String() {
		t.Errorf("under another organisation's id the key opened %+v, %v", got, err)
	}
	if got, err := newKeys(open(), c.Now).caller(ctx, rowid.New(), m.hash); reason(t, got, err) != fault.Unauthenticated {
		t.Errorf("another organisation knows the key: %+v, %v", got, err)
	}
}

// However often a key is used, its use is written once a minute.
func TestUseIsNotedOnceAMinute(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := &clock{now: time.Now()}
	k := newKeys(open(), c.Now)
	org, id, hash := rowid.New(), rowid.New(), secret.Hash(rowid.New().String())
	_, err := k.create(ctx, apiKey{OrgID: org, ID: id, OrgRoles: []string{"guest"}, CreatedBy: somebody(t), ExpiresAt: c.Now().Add(time.Hour)}, hash, done(ctx, org))
	if err != nil {
		t.Fatal(err)
	}
	version := func() string {
		v, err := tenantdb.Row(ctx, k.db, tenantdb.Org(org), pgx.RowTo[string], "select xmin::text from identity.api_keys where id = $1", id)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	use := func() {
		if _, err := k.caller(ctx, org, hash); err != nil {
			t.Fatal(err)
		}
	}
	use()
	first := version()
	for range 10 {
		c.advance(userFreshness)
		use()
	}
	if version() != first {
		t.Error("the row was written again within a minute")
	}
	if key, ok, err := k.one(ctx, org, id); err != nil || !ok || key.LastUsedAt == nil {
		t.Errorf("got %+v, %v", key, err)
	}
}

func TestWritingAsSomebodyTakesTwoPeople(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := &clock{now: time.Now()}
	i := newImpersonations(open(), c.Now, true)
	org, target := rowid.New(), somebody(t)
	first, second := somebody(t, "platform_admin"), somebody(t, "platform_admin")
	begin := func(write bool, user uuid.UUID) (impersonation, digest, error) {
		hash := secret.Hash(rowid.New().String())
		made, err := i.begin(ctx, impersonation{OrgID: org, ID: rowid.New(), UserID: user, ImpersonatorID: first, Reason: "r",
			Write: write, ExpiresAt: c.Now().Add(time.Minute)}, digest(hash), done(ctx, org))
		return made, hash, err
	}
	writes := func(hash digest) bool {
		t.Helper()
		c.advance(userFreshness)
		got, err := i.caller(ctx, org, hash)
		if err != nil {
			t.Fatal(err)
		}
		if got.UserID != target.String() || got.ImpersonatorID != first.String() || got.MFALevel != 0 {
			t.Fatalf("got %+v", got)
		}
		return got.Write
	}
	made, hash, err := begin(true, target)
	if err != nil || writes(hash) {
		t.Fatalf("it writes and nobody approved; %v", err)
	}
	alone := newImpersonations(open(), c.Now, false)
	if got, err := alone.caller(ctx, org, hash); err != nil || !got.Write {
		t.Errorf("where one is enough: %+v, %v", got, err)
	}
	if _, err := i.approve(ctx, org, made.ID, first, done(ctx, org)); fault.DetailsOf(err).Reason != fault.NotFoundReason || writes(hash) {
		t.Errorf("approved by the one who began it: %v", err)
	}
	if _, err := i.approve(ctx, org, made.ID, second, done(ctx, org)); err != nil || !writes(hash) {
		t.Errorf("approved by a second: %v", err)
	}
	reader, readHash, err := begin(false, target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.approve(ctx, org, reader.ID, second, done(ctx, org)); err == nil || writes(readHash) {
		t.Error("one that did not ask to write was let")
	}
	if got, err := alone.caller(ctx, org, readHash); err != nil || got.Write {
		t.Errorf("one that did not ask to write, where one is enough: %+v, %v", got, err)
	}
	for name, user := range map[string]uuid.UUID{"staff": second, "a stranger": rowid.New()} {
		if _, _, err := begin(false, user); err == nil {
			t.Errorf("acting as %s began", name)
		}
	}
	// Both stop being who they were.
	for _, sql := range []string{
		"update identity.users set platform_roles = '{platform_support}' where id = $1",
		"update identity.users set platform_roles = '{platform_admin}', status = 'disabled' where id = $1",
	} {
		exec(t, tenantdb.Scope{}, sql, first)
		c.advance(userFreshness)
		got, err := i.caller(ctx, org, readHash)
		if r := reason(t, got, err); r != fault.TokenRevoked {
			t.Errorf("%s: got %s", sql, r)
		}
	}
	exec(t, tenantdb.Scope{}, "update identity.users set status = 'active' where id = $1", first)
	exec(t, tenantdb.Scope{}, "update identity.users set platform_roles = '{platform_support}' where id = $1", target)
	c.advance(userFreshness)
	got, err := i.caller(ctx, org, readHash)
	if r := reason(t, got, err); r != fault.TokenRevoked {
		t.Errorf("the member became staff: got %s", r)
	}
}

func TestAnImpersonationExpires(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := &clock{now: time.Now()}
	i := newImpersonations(open(), c.Now, true)
	org, hash := rowid.New(), digest(secret.Hash(rowid.New().String()))
	_, err := i.begin(ctx, impersonation{OrgID: org, ID: rowid.New(), UserID: somebody(t), ImpersonatorID: somebody(t, "platform_admin"),
		ExpiresAt: c.Now().Add(time.Second)}, hash, done(ctx, org))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.caller(ctx, org, hash); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Second) // what is remembered does not outlive it
	got, err := i.caller(ctx, org, hash)
	if r := reason(t, got, err); r != fault.TokenExpired {
		t.Errorf("got %s", r)
	}
}

// countOutbox is how many events about a resource wait for the log.
func countOutbox(t *testing.T, resource uuid.UUID) int {
	t.Helper()
	n, err := tenantdb.Row(context.Background(), open(), tenantdb.Platform(), pgx.RowTo[int],
		"select count(*) from platform.outbox where payload->'resource'->>'id' = $1", resource.String())
	if err != nil {
		t.Fatal(err)
	}
	return n
}
