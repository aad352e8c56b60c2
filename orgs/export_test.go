package orgs

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/archive"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

func exportOf(b bundle) (context.Context, export) {
	ctx := principal.NewContext(context.Background(), principal.New(&principal.Caller{UserID: b.user.String()}, nil))
	return ctx, export{store: open(), id: rowid.New(), org: b.org, decision: authz.Decision{Allowed: true}}
}

// exported runs an export and gives its rows by type.
func exported(t *testing.T, b bundle, key string) (map[string][]map[string]any, archive.Manifest) {
	t.Helper()
	ctx, x := exportOf(b)
	w := httptest.NewRecorder()
	if err := x.run(ctx, w); err != nil {
		t.Fatal(err)
	}
	rows := map[string][]map[string]any{}
	_, m, err := archive.Read(w.Body, []byte(key), func(kind string, data json.RawMessage) error {
		var row map[string]any
		rows[kind] = append(rows[kind], nil)
		err := json.Unmarshal(data, &row)
		rows[kind][len(rows[kind])-1] = row
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, m
}

// kept are the columns that stay behind, and why.
var kept = map[string]string{
	"orgs.invitations.token_hash": "a credential",
}

// The catalogue says what there is, so that a column of tomorrow is exported or named above.
func TestAnExportHoldsEveryColumnOfEveryTable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	exportedRows, m := exported(t, b, "")
	byTable := map[string]string{"orgs.settings": "setting"}
	for _, a := range archivedTypes {
		byTable["orgs."+a.table] = a.kind
	}
	for table := range tenantTables(t) {
		if !strings.HasPrefix(table, "orgs.") {
			continue
		}
		kind, ok := byTable[table]
		if !ok {
			t.Errorf("%s is not exported", table)
			continue
		}
		if len(exportedRows[kind]) != 1 || m.Types[kind].Rows != 1 {
			t.Errorf("%s: %d rows of %s, want ours", table, len(exportedRows[kind]), kind)
			continue
		}
		columns, err := tenantdb.Rows(context.Background(), open().db, tenantdb.Scope{}, pgx.RowTo[string],
			"select column_name from information_schema.columns where table_schema || '.' || table_name = $1", table)
		if err != nil || len(columns) == 0 {
			t.Fatal(err)
		}
		for _, column := range columns {
			_, there := exportedRows[kind][0][column]
			if _, behind := kept[table+"."+column]; there == behind {
				t.Errorf("%s.%s: exported %v", table, column, there)
			}
		}
	}
}

// What the catalogue says of a column, the header says of a field.
func TestAnExportSaysWhatIsPersonal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, x := exportOf(b)
	w := httptest.NewRecorder()
	if err := x.run(ctx, w); err != nil {
		t.Fatal(err)
	}
	header, _, err := archive.Read(w.Body, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tagged := 0
	for _, a := range archivedTypes {
		for _, c := range textColumns(t) {
			if c.Table != "orgs."+a.table {
				continue
			}
			personal := strings.HasPrefix(c.Comment, "personal: ")
			if said := slices.Contains(header.Personal[a.kind], c.Column); said != personal {
				t.Errorf("%s.%s: the header says %v, the catalogue %v", a.kind, c.Column, said, personal)
			}
			if personal {
				tagged++
			}
		}
	}
	if tagged < 8 || len(header.Personal["person"]) == 0 {
		t.Errorf("%d tagged columns, header %v", tagged, header.Personal)
	}
}

func TestAnExportShowsNoSecretAndIsSignedWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const canary = "canary-81b2"
	if _, err := change(settingChange{Org: b.org, Key: "export.signing_secret", Value: json.RawMessage(`"` + canary + `"`)}); err != nil {
		t.Fatal(err)
	}
	rows, m := exported(t, b, canary) // reads it with the key
	if m.HMAC == "" {
		t.Error("not signed")
	}
	text, err := json.Marshal(rows)
	if err != nil || bytes.Contains(text, []byte(canary)) {
		t.Errorf("%v: %s", err, text)
	}
	if !slices.ContainsFunc(rows["setting"], func(row map[string]any) bool {
		return row["key"] == "export.signing_secret" && row["value"] == nil
	}) {
		t.Errorf("that it is set does not show: %v", rows["setting"])
	}
}

func outcomes(t *testing.T, org uuid.UUID) []string {
	t.Helper()
	out, err := tenantdb.Rows(context.Background(), open().db, tenantdb.Org(org), pgx.RowTo[string], `
select payload->>'outcome' from platform.outbox where payload->>'org_id' = $1 and payload->>'action' = 'org:export'`, org.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnOrganisationIsExportedOnceAtATime(t *testing.T) {
	t.Parallel()
	b, other := setup(t), setup(t)
	ctx, x := exportOf(b)
	err := open().db.Snapshot(ctx, tenantdb.Org(b.org), func(tx pgx.Tx) error {
		if _, err := x.begin(ctx, tx); err != nil {
			return err
		}
		if err := x.run(ctx, httptest.NewRecorder()); fault.DetailsOf(err).Reason != fault.RateLimited || fault.DetailsOf(err).RetryAfter == 0 {
			t.Errorf("a second one: %v", err)
		}
		exported(t, other, "") // is nobody's concern
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	exported(t, b, "")
	if got := outcomes(t, b.org); !slices.Equal(got, []string{"succeeded"}) {
		t.Errorf("the log has %v", got)
	}
}

// The organisation is big enough that the archive cannot hide in the buffers on its way.
func TestAClientThatHangsUpStopsTheExport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	err := open().db.Tx(context.Background(), tenantdb.Org(b.org), func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), `
insert into orgs.projects (org_id, id, owner_id, title, body, sensitivity, pii)
select $1, gen_random_uuid(), $2, 't', repeat('x', 20000), 'internal', false from generate_series(1, 3000)`, b.org, b.user)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, x := exportOf(b)
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asking, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(r.Context(), cancel)()
		ended <- x.run(asking, &patient{ResponseWriter: w, controller: http.NewResponseController(w)})
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, 100_000); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("it was over before anybody hung up: %v", err)
	default:
	}
	resp.Body.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Fatal("it came to its end")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	// Its connection is gone with its snapshot and its lock: another one can begin.
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := open().db.Snapshot(ctx, tenantdb.Org(b.org), func(tx pgx.Tx) error {
			_, err := x.begin(ctx, tx)
			return err
		})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the query goes on: %v", err)
		}
	}
	if got := outcomes(t, b.org); !slices.Equal(got, []string{"failed"}) {
		t.Errorf("the log has %v", got)
	}
}
