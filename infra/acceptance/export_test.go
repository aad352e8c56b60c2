//go:build acceptance

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
)

// A receiver needs nothing of ours to check an archive: it is lines, hashed as they came.
func TestAnExportProvesItselfWhole(t *testing.T) {
	t.Parallel()
	title := unique("exported")
	p := want[struct{ ID string }](t, call(t, adaApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects",
		map[string]any{"title": title, "sensitivity": "internal", "pii": false}), 201)
	r := call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/export", nil)
	if r.status != 200 || r.header.Get("Content-Type") != "application/x-ndjson" || r.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %v: %s", r.status, r.header, r.body)
	}
	type line struct {
		Type string
		Data json.RawMessage
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(r.body, []byte("\n")), []byte("\n"))
	whole, byType, rows := sha256.New(), map[string][]byte{}, map[string]int{}
	found := false
	var manifest struct {
		Rows   int
		SHA256 string
		Types  map[string]struct {
			Rows   int
			SHA256 string
		}
	}
	for i, text := range lines {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("line %d: %v: %s", i+1, err, text)
		}
		switch i {
		case 0:
			var h struct {
				OrgID string `json:"org_id"`
			}
			if json.Unmarshal(l.Data, &h); l.Type != "header" || h.OrgID != acme {
				t.Fatalf("the first line is %s", text)
			}
		case len(lines) - 1:
			if err := json.Unmarshal(l.Data, &manifest); l.Type != "manifest" || err != nil {
				t.Fatalf("the last line is %s: %v", text, err)
			}
			continue
		default:
			byType[l.Type] = append(byType[l.Type], text...)
			rows[l.Type]++
			var row struct {
				ID    string
				OrgID string `json:"org_id"`
				Title string
			}
			if json.Unmarshal(l.Data, &row); row.OrgID != "" && row.OrgID != acme {
				t.Errorf("a foreign row: %s", text)
			}
			found = found || l.Type == "project" && row.ID == p.ID && row.Title == title
		}
		whole.Write(text)
	}
	if !found {
		t.Error("the project is not in it")
	}
	if got := hex.EncodeToString(whole.Sum(nil)); got != manifest.SHA256 || manifest.Rows != len(lines)-2 {
		t.Errorf("the whole is %s, %d rows; the manifest says %+v", got, len(lines)-2, manifest)
	}
	for kind, section := range manifest.Types {
		sum := sha256.Sum256(byType[kind])
		if hex.EncodeToString(sum[:]) != section.SHA256 || rows[kind] != section.Rows {
			t.Errorf("%s: %d rows of %x, the manifest says %+v", kind, rows[kind], sum, section)
		}
	}
	for _, kind := range []string{"organisation", "membership", "team", "team_membership", "person", "project", "license", "audit_event"} {
		if rows[kind] == 0 {
			t.Errorf("no %s in it", kind)
		}
	}
}
