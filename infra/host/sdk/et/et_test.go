//go:build stockhost

package et

import (
	"os"
	"strings"
	"testing"

	"encore.dev/beta/auth"
	"encore.dev/config"
	"encore.dev/internal/db/pgtest"
	"encore.dev/internal/registry"
	"encore.dev/pubsub"
	"encore.dev/storage/sqldb"
)

type event struct{ N int }

var (
	events = pubsub.NewTopic[*event]("events", pubsub.TopicConfig{DeliveryGuarantee: pubsub.AtLeastOnce})
	books  = sqldb.NewDatabase("books", sqldb.DatabaseConfig{Migrations: "./migrations"})

	_ = func() bool { // as generated code does before the package's own variables
		registry.Process().SetConfig("encore.dev/et", map[string]string{"test": `{"Seats":5,"Names":["a"]}`})
		return true
	}()
	cfg = config.Load[*struct {
		Seats config.Int
		Names config.Value[[]string]
	}]()
)

func TestMain(m *testing.M) {
	registry.Process().SetMigrations("books", []registry.Migration{{Number: 1, Name: "1_books.up.sql", SQL: `CREATE TABLE book (isbn text)`}})
	os.Exit(pgtest.Main(m))
}

func publish(t *testing.T, n int) {
	t.Helper()
	if _, err := events.Publish(t.Context(), &event{n}); err != nil {
		t.Fatal(err)
	}
}

func TestTopicShowsThisTestsMessages(t *testing.T) {
	t.Parallel()
	publish(t, 1)
	t.Run("sub", func(t *testing.T) { publish(t, 2) })
	got := Topic(events).PublishedMessages()
	if len(got) != 2 || got[0].N != 1 || got[1].N != 2 {
		t.Fatalf("published %v", got)
	}
}

func TestTopicHidesOtherTestsMessages(t *testing.T) {
	t.Parallel()
	publish(t, 3)
	if got := Topic(events).PublishedMessages(); len(got) != 1 || got[0].N != 3 {
		t.Fatalf("published %v", got)
	}
}

func TestNewTestDatabase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	mine, err := NewTestDatabase(ctx, "books")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Exec(ctx, `INSERT INTO book VALUES ('1')`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := books.QueryRow(ctx, `SELECT count(*) FROM book`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("the shared database has %d rows, %v", n, err)
	}
	if _, err := mine.Exec(ctx, `TRUNCATE book`); err == nil {
		t.Error("the app may truncate")
	}
	if _, err := SQLDBWithSuperuser(mine).Exec(ctx, `TRUNCATE book`); err != nil {
		t.Error(err)
	}
	if _, err := NewTestDatabase(ctx, "none"); err == nil || !strings.Contains(err.Error(), `no database "none"`) {
		t.Errorf("err = %v", err)
	}
}

func TestSetCfg(t *testing.T) {
	t.Parallel()
	SetCfg(cfg.Seats, 50)
	if cfg.Seats() != 50 {
		t.Fatalf("seats = %d", cfg.Seats())
	}
	defer func() {
		if recover() == nil {
			t.Error("a list is changed")
		}
	}()
	SetCfg(cfg.Names, nil)
}

func TestSetCfgLeavesOtherTestsAlone(t *testing.T) {
	t.Parallel()
	if cfg.Seats() != 5 {
		t.Fatalf("seats = %d", cfg.Seats())
	}
}

func TestOverrideAuthInfo(t *testing.T) {
	t.Parallel()
	who := func() auth.UID { uid, _ := auth.UserID(); return uid }
	OverrideAuthInfo("ada", nil)
	t.Run("sub", func(t *testing.T) {
		if who() != "ada" {
			t.Errorf("inherited %q", who())
		}
		OverrideAuthInfo("bob", nil)
		if who() != "bob" {
			t.Errorf("overridden to %q", who())
		}
	})
	if who() != "ada" {
		t.Errorf("a subtest changed its test to %q", who())
	}
	OverrideAuthInfo("", nil)
	if _, ok := auth.UserID(); ok {
		t.Error("nobody is somebody")
	}
}
