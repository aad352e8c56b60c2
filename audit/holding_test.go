package audit

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	export "encore.app/infra/platform/archive"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

// keyCaches is how many goroutines there are of caches of keys.
func keyCaches() int {
	stacks := make([]byte, 1<<22)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "golang-lru/v2/expirable.NewLRU")
}

// Not parallel: other tests make such caches.
func TestReadingALogLeavesNothingRunning(t *testing.T) {
	ctx, s, org := context.Background(), newStore(testDB()), rowid.New()
	fill(t, s, org, 3)
	before := keyCaches()
	out, err := export.New(io.Discard, export.Header{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error { return ArchiveOrg(ctx, tx, org, out, true) })
		if err == nil {
			err = Retain(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if after := keyCaches(); after != before || before == 0 {
		t.Errorf("%d caches of keys, %d before", after, before)
	}
}
