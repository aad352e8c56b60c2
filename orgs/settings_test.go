package orgs

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/orgs/setting"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

func change(c settingChange) (settingRow, error) {
	ctx := context.Background()
	e := event.New(ctx, c.Org, "update", event.Resource{Kind: "setting", ID: c.Key}, event.Succeeded, authz.Decision{})
	return open().changeSetting(ctx, c, e)
}

func TestOfTwoWhoSawTheSameVersionOneSetsTheSetting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row, err := change(settingChange{Org: b.org, Key: "branding.display_name", Value: json.RawMessage(`"0"`)})
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		won int
	)
	for range 8 {
		wg.Go(func() {
			_, err := change(settingChange{Org: b.org, Key: "branding.display_name", Value: json.RawMessage(`"1"`), Version: row.Version})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case fault.DetailsOf(err).Reason != fault.VersionConflict:
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestOrganisationsDoNotSeeEachOthersSettings(t *testing.T) {
	t.Parallel()
	ours, theirs := setup(t), setup(t)
	if _, err := change(settingChange{Org: ours.org, Key: "branding.display_name", Value: json.RawMessage(`"ours"`)}); err != nil {
		t.Fatal(err)
	}
	row, err := open().setting(context.Background(), theirs.org, "branding.display_name")
	if err != nil || row.Resolved.Source != setting.FromDefault {
		t.Errorf("they see %+v, %v", row.Resolved, err)
	}
}

// Row-level security keeps the platform's layer from everyone else, whatever the code does.
func TestOnlyThePlatformWritesItsLayer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, scope := range map[string]tenantdb.Scope{"organisation": tenantdb.Org(b.org), "user": tenantdb.User(b.user), "nobody": {}} {
		err := open().db.Tx(context.Background(), scope, func(tx pgx.Tx) error {
			_, err := settingChange{Org: uuid.Nil, Key: "locale.language", Value: json.RawMessage(`"de"`)}.apply(context.Background(), tx)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
