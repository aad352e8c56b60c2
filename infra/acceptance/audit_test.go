//go:build acceptance

package acceptance

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"encore.app/audit/ledger"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type loggedEvent struct {
	ID       string `json:"id"`
	OrgID    string `json:"org_id"`
	Seq      int64  `json:"seq"`
	LeafHash string `json:"leaf_hash"`
	Action   string `json:"action"`
	IP       string `json:"ip"`

	DecisionID string `json:"decision_id"`
	Resource   struct{ Kind, ID string }
}

type loggedProof struct {
	LeafIndex  int64    `json:"leaf_index"`
	TreeSize   int64    `json:"tree_size"`
	LeafHash   string   `json:"leaf_hash"`
	From, To   int64    // of a consistency proof
	Hashes     []string `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

func (p loggedProof) hashes(t *testing.T) []tlog.Hash {
	t.Helper()
	out := make([]tlog.Hash, len(p.Hashes))
	for i, h := range p.Hashes {
		out[i] = rootHash(t, h)
	}
	return out
}

func rootHash(t *testing.T, text string) tlog.Hash {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != tlog.HashSize {
		t.Fatalf("not a hash: %q", text)
	}
	return tlog.Hash(raw)
}

// published are the keys that the app says it signs with.
func published(t *testing.T) note.Verifiers {
	t.Helper()
	keys := want[struct{ Keys []ledger.PublicKey }](t, call(t, "", "GET", "/.well-known/tenantry-audit-keys", nil), 200).Keys
	if len(keys) == 0 || keys[0].Status != "active" {
		t.Fatalf("keys: %+v", keys)
	}
	vkeys := make([]string, len(keys))
	for i, k := range keys {
		vkeys[i] = k.VKey
	}
	v, err := ledger.Verifiers(vkeys...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func opened(t *testing.T, signed, org string) ledger.Checkpoint {
	t.Helper()
	c, err := ledger.OpenCheckpoint(signed, published(t))
	if err != nil || c.Origin != "tenantry/audit/"+org {
		t.Fatalf("%+v, %v", c, err)
	}
	return c
}

const acmeLog = "/api/v1/org/" + acme + "/audit"

// makeEvent has something happen in acme and waits until its log shows it.
func makeEvent(t *testing.T) loggedEvent {
	t.Helper()
	made := want[struct{ ID string }](t, call(t, adaApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects",
		map[string]any{"title": unique("audited"), "sensitivity": "internal", "pii": false}), 201)
	return eventAbout(t, made.ID)
}

func eventAbout(t *testing.T, resource string) (e loggedEvent) {
	t.Helper()
	eventually(t, 10*time.Second, "the log shows the event", func() bool {
		found := want[struct{ Items []loggedEvent }](t, call(t, adaOrg.token(t), "GET", acmeLog+"/events?resource="+resource, nil), 200).Items
		if len(found) > 0 {
			e = found[0]
		}
		return len(found) > 0
	})
	return e
}

func TestAnEventIsProvenToBeInTheLog(t *testing.T) {
	t.Parallel()
	e := makeEvent(t)
	p := want[loggedProof](t, call(t, adaOrg.token(t), "GET", acmeLog+"/events/"+e.ID+"/proof", nil), 200)
	c := opened(t, p.Checkpoint, acme)
	if p.LeafIndex != e.Seq-1 || p.LeafHash != e.LeafHash || p.TreeSize != c.Size {
		t.Fatalf("%+v of %+v at %+v", p, e, c)
	}
	if err := tlog.CheckRecord(p.hashes(t), c.Size, c.Root, p.LeafIndex, rootHash(t, p.LeafHash)); err != nil {
		t.Error(err)
	}
	// What the API shows of the event makes the leaf that is proven.
	shown := call(t, adaOrg.token(t), "GET", acmeLog+"/events/"+e.ID, nil)
	leaf, err := ledger.Leaf(shown.body)
	if err != nil || ledger.Hash(leaf) != rootHash(t, e.LeafHash) {
		t.Errorf("%v: %s does not make its leaf hash", err, shown.body)
	}
	if e.IP == "" || bytes.Contains(leaf, []byte(e.IP)) {
		t.Errorf("the address %q is shown in the leaf: %s", e.IP, leaf)
	}
	// Platform staff get the same proof.
	staff := want[loggedProof](t, call(t, root.token(t), "GET", "/api/v1/admin/audit/events/"+e.ID+"/proof", nil), 200)
	if staff.LeafHash != p.LeafHash || staff.LeafIndex != p.LeafIndex {
		t.Errorf("%+v", staff)
	}
}

func TestALogContinuesWhatItWas(t *testing.T) {
	t.Parallel()
	makeEvent(t)
	before := opened(t, want[loggedProof](t, call(t, adaOrg.token(t), "GET", acmeLog+"/checkpoint", nil), 200).Checkpoint, acme)
	makeEvent(t)
	p := want[loggedProof](t, call(t, adaOrg.token(t), "GET", fmt.Sprintf("%s/consistency?from=%d", acmeLog, before.Size), nil), 200)
	after := opened(t, p.Checkpoint, acme)
	if p.From != before.Size || p.To != after.Size || after.Size <= before.Size {
		t.Fatalf("%+v from %+v", p, before)
	}
	if err := tlog.CheckTree(p.hashes(t), after.Size, after.Root, before.Size, before.Root); err != nil {
		t.Error(err)
	}
	for _, from := range []string{"", "-1", "x", "999999999"} {
		wantFailure(t, call(t, adaOrg.token(t), "GET", acmeLog+"/consistency?from="+from, nil), 400, "validation_failed")
	}
}

func TestAnExportIsVerifiedOffline(t *testing.T) {
	t.Parallel()
	earlier := opened(t, want[loggedProof](t, call(t, adaOrg.token(t), "GET", acmeLog+"/checkpoint", nil), 200).Checkpoint, acme)
	e := makeEvent(t)
	for name, query := range map[string]string{"whole": "", "with proofs": "?proofs=true&format=ndjson", "narrowed": "?resource=" + e.Resource.ID} {
		r := call(t, adaOrg.token(t), "GET", acmeLog+"/export"+query, nil)
		if ct := r.header.Get("Content-Type"); r.status != 200 || ct != "application/x-ndjson" {
			t.Fatalf("%s: %d %s %s", name, r.status, ct, r.body)
		}
		o := ledger.Options{Keys: published(t)}
		if name != "narrowed" {
			o.Earlier = &earlier
		}
		report, err := ledger.Verify(bytes.NewReader(r.body), o)
		if err != nil || !report.OK() || report.Complete == (name == "narrowed") || report.Entries == 0 {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		forged := bytes.Replace(r.body, []byte(`"outcome":"succeeded"`), []byte(`"outcome":"failed"`), 1)
		if report, err := ledger.Verify(bytes.NewReader(forged), o); err != nil || report.OK() || bytes.Equal(forged, r.body) {
			t.Errorf("%s: a forgery passes: %+v, %v", name, report, err)
		}
	}
	own := call(t, root.token(t), "GET", "/api/v1/admin/audit/export", nil)
	if report, err := ledger.Verify(bytes.NewReader(own.body), ledger.Options{Keys: published(t)}); err != nil || !report.OK() ||
		!strings.HasSuffix(report.Checkpoint.Origin, "/00000000-0000-0000-0000-000000000000") {
		t.Errorf("the platform's own: %+v, %v", report, err)
	}
	wantFailure(t, call(t, adaOrg.token(t), "GET", acmeLog+"/export?format=xml", nil), 400, "validation_failed")
}

func TestOtherFormsOfTheExport(t *testing.T) {
	t.Parallel()
	e := makeEvent(t)
	r := call(t, adaOrg.token(t), "GET", acmeLog+"/export?format=csv&resource="+e.Resource.ID, nil)
	rows, err := csv.NewReader(bytes.NewReader(r.body)).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][0] != "seq" || rows[1][1] != e.ID {
		t.Errorf("%v, %v", rows, err)
	}
	r = call(t, adaOrg.token(t), "GET", acmeLog+"/export?as=ocsf&resource="+e.Resource.ID, nil)
	var o struct {
		ClassUID int `json:"class_uid"`
		TypeUID  int `json:"type_uid"`
		Metadata struct{ UID string }
	}
	if err := json.Unmarshal(r.body, &o); err != nil || o.ClassUID != 6003 || o.TypeUID != 600301 || o.Metadata.UID != e.ID {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestPlatformStaffSearchEveryLog(t *testing.T) {
	t.Parallel()
	e := makeEvent(t)
	for _, query := range []string{"?resource=" + e.Resource.ID, "?org_id=" + acme + "&resource=" + e.Resource.ID} {
		found := want[struct{ Items []loggedEvent }](t, call(t, root.token(t), "GET", "/api/v1/admin/audit/events"+query, nil), 200).Items
		if len(found) != 1 || found[0].ID != e.ID || found[0].OrgID != acme {
			t.Errorf("%s: %+v", query, found)
		}
	}
	other := want[struct{ Items []loggedEvent }](t, call(t, root.token(t), "GET", "/api/v1/admin/audit/events?org_id="+globex+"&resource="+e.Resource.ID, nil), 200).Items
	if len(other) != 0 {
		t.Errorf("in another log: %+v", other)
	}
	one := want[loggedEvent](t, call(t, root.token(t), "GET", "/api/v1/admin/audit/events/"+e.ID, nil), 200)
	if one.ID != e.ID || one.Seq != e.Seq {
		t.Errorf("%+v", one)
	}
	wantFailure(t, call(t, root.token(t), "GET", "/api/v1/admin/audit/events?org_id=x", nil), 400, "validation_failed")
}
