package orgs

import (
	"context"
	"testing"

	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

func TestALicenceCountsOnceApplied(t *testing.T) {
	t.Parallel()
	ctx, b, seats := context.Background(), setup(t), 7
	apply := func(l License) (changed bool) {
		t.Helper()
		err := open().db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) (err error) {
			changed, err = ApplyLicense(ctx, tx, b.org, l)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	l := License{Tier: "pro", Flags: map[string]bool{"sso": true, "beta": false}, Seats: &seats}
	if !apply(l) {
		t.Error("the first did not count")
	}
	if apply(l) {
		t.Error("the same again counted as a change")
	}
	got, err := Resolve(ctx, b.user, b.org)
	if err != nil || got.Tier != "pro" || len(got.Flags) != 1 || got.Flags[0] != "sso" {
		t.Errorf("got %+v, %v", got, err)
	}
	if !apply(License{Tier: "pro"}) {
		t.Error("lifting the limit did not count")
	}
}
