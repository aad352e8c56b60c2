package authz

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/authz/epoch"
	"encore.app/authz/filter"
	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/sqldb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func testDB() *tenantdb.DB { return tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)) }

func watch(t *testing.T) *epoch.Watch {
	t.Helper()
	w, err := epoch.StartWatch(testDB())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	becomes(t, "it hears", func() bool { _, err := w.Current(t.Context(), ""); return err == nil })
	return w
}

func becomes(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never: " + what)
		}
	}
}

func bump(t *testing.T, ids ...uuid.UUID) {
	t.Helper()
	err := testDB().Tx(t.Context(), tenantdb.Platform(), func(tx pgx.Tx) error { return epoch.Bump(t.Context(), tx, ids...) })
	if err != nil {
		t.Fatal(err)
	}
}

func current(t *testing.T, w *epoch.Watch, subject string) uint64 {
	t.Helper()
	var now uint64
	becomes(t, "it hears again", func() bool { // a loaded machine may leave it deaf for a moment
		var err error
		now, err = w.Current(t.Context(), subject)
		return err == nil
	})
	return now
}

// grants allows everything until it is told otherwise.
type grants struct {
	asked   atomic.Int64
	revoked atomic.Bool
}

func (g *grants) Check(context.Context, *principal.Principal, pdp.Resource, string) (pdp.Decision, error) {
	g.asked.Add(1)
	return pdp.Decision{ID: "d", Allowed: !g.revoked.Load()}, nil
}

func (*grants) CheckAll(context.Context, *principal.Principal, []pdp.Query) ([]map[string]pdp.Decision, error) {
	return nil, errors.ErrUnsupported
}

func (*grants) Plan(context.Context, *principal.Principal, string, string, map[string]any) (*filter.Plan, error) {
	return nil, errors.ErrUnsupported
}

// Staff have no membership that is read with every request, so what is remembered of them rests on
// what the replicas hear. The caches here forget nothing of themselves.
func TestEveryReplicaHearsOfAChange(t *testing.T) {
	t.Parallel()
	user, org := rowid.New(), rowid.New()
	staff := principal.New(&principal.Caller{UserID: user.String(), Audience: principal.AudienceAdmin, RealmRoles: []string{"platform_admin"}}, nil)
	res := pdp.Resource{Kind: "org", ID: org.String(), Attr: map[string]any{"org_id": org.String()}}
	for name, subject := range map[string]uuid.UUID{"user": user, "organisation of the resource": org, "everything": epoch.Everything} {
		t.Run(name, func(t *testing.T) {
			var policy grants
			var replicas []*pdp.Cached
			for range 2 {
				cache, err := pdp.NewCached(pdp.CacheConfig{Next: &policy, Epochs: watch(t).Current, AllowTTL: time.Hour, DenyTTL: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				replicas = append(replicas, cache)
			}
			may := func(r *pdp.Cached) pdp.Decision {
				d, err := r.Check(t.Context(), staff, res, "read")
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			for _, r := range replicas {
				becomes(t, "it is remembered", func() bool { return may(r).Cached == pdp.LayerMemory })
			}
			policy.revoked.Store(true)
			bump(t, subject)
			done := time.Now()
			for i, r := range replicas {
				becomes(t, "it is denied", func() bool { return !may(r).Allowed })
				took := time.Since(done)
				t.Logf("replica %d denies %s after the commit", i, took)
				if took > epoch.Bound {
					t.Errorf("replica %d allowed for %s after the change, the bound is %s", i, took, epoch.Bound)
				}
			}
		})
	}
}

// Members carry the counters with the membership that every request reads: the very next request is
// another question, whatever has been heard.
func TestAMembershipReadAfterAChangeIsAnotherQuestion(t *testing.T) {
	t.Parallel()
	var policy grants
	cache, err := pdp.NewCached(pdp.CacheConfig{Next: &policy, AllowTTL: time.Hour, Epochs: func(context.Context, string) (uint64, error) { return 1, nil }})
	if err != nil {
		t.Fatal(err)
	}
	may := func(orgEpoch, userEpoch uint64) bool {
		p := principal.New(&principal.Caller{UserID: "u"}, &principal.Tenant{OrgID: "o", Status: "active", OrgEpoch: orgEpoch, UserEpoch: userEpoch})
		d, err := cache.Check(t.Context(), p, pdp.Resource{Kind: "doc", Attr: map[string]any{"org_id": "o"}}, "read")
		if err != nil {
			t.Fatal(err)
		}
		return d.Allowed
	}
	if !may(4, 7) {
		t.Fatal("denied")
	}
	policy.revoked.Store(true)
	if !may(4, 7) {
		t.Error("not remembered: the rest proves nothing")
	}
	if may(5, 7) || may(4, 8) {
		t.Error("a change of the organisation or the user was not seen")
	}
}

func TestCountersGoUpWithTheirTransaction(t *testing.T) {
	t.Parallel()
	w := watch(t)
	id, other := rowid.New(), rowid.New()
	before, beside := current(t, w, id.String()), current(t, w, other.String())
	if before == 0 {
		t.Error("a counter that was read is 0, which stands for one that was not")
	}
	rolledBack := errors.New("no")
	err := testDB().Tx(t.Context(), tenantdb.Platform(), func(tx pgx.Tx) error {
		if err := epoch.Bump(t.Context(), tx, id); err != nil {
			return err
		}
		return rolledBack
	})
	if !errors.Is(err, rolledBack) {
		t.Fatal(err)
	}
	if now := current(t, w, id.String()); now != before {
		t.Errorf("rolled back, and it went from %d to %d", before, now)
	}
	bump(t, id)
	becomes(t, "it goes up", func() bool { return current(t, w, id.String()) == before+1 })
	if now := current(t, w, other.String()); now != beside {
		t.Errorf("another's went from %d to %d", beside, now)
	}
}

// The listener's connection is cut: until it listens again nothing is answered, and what changed
// meanwhile is read anew.
func TestADeafReplicaRemembersNothing(t *testing.T) {
	t.Parallel()
	w := watch(t)
	id := rowid.New()
	before := current(t, w, id.String())
	w.Close()
	bump(t, id)
	becomes(t, "it says that it cannot know", func() bool {
		_, err := w.Current(t.Context(), id.String())
		return errors.Is(err, epoch.ErrDeaf)
	})
	if now := current(t, watch(t), id.String()); now != before+1 {
		t.Errorf("the next one reads %d, want %d", now, before+1)
	}
	var none *epoch.Watch
	if _, err := none.Current(t.Context(), ""); !errors.Is(err, epoch.ErrDeaf) {
		t.Errorf("no watch at all: %v", err)
	}
}
