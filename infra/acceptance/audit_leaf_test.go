//go:build acceptance

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// plainJSON writes decoded JSON with sorted names and no needless escapes: canonical (RFC 8785) for
// the names and values that the tests use.
func plainJSON(t *testing.T, v any) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The steps of docs/audit.md, without the project's own code: anybody can write them.
func TestALeafIsMadeAsTheDocumentationSays(t *testing.T) {
	t.Parallel()
	e := decoded(t, call(t, adaOrg.token(t), "GET", acmeLog+"/events/"+makeEvent(t).ID, nil).body)
	want, _ := e["leaf_hash"].(string)
	personal := map[string]any{}
	commitments, _ := e["commitments"].(map[string]any)
	changes, _ := e["changes"].(map[string]any)
	for path, c := range commitments {
		in, name := e, path
		if rest, ok := strings.CutPrefix(path, "changes."); ok {
			in, name = changes, rest
		}
		value := plainJSON(t, in[name])
		delete(in, name)
		commitment := c.(map[string]any)
		if hash, ok := commitment["hash"]; ok {
			personal[path] = hash
			continue
		}
		salt, err := base64.StdEncoding.DecodeString(commitment["salt"].(string))
		if err != nil || len(salt) != sha256.Size {
			t.Fatalf("salt of %s: %v", path, commitment)
		}
		sum := sha256.Sum256([]byte(string(salt) + path + "\x00" + string(value)))
		personal[path] = base64.StdEncoding.EncodeToString(sum[:])
	}
	if len(personal) == 0 {
		t.Error("an event of a person's request commits to their address")
	}
	for _, name := range []string{"seq", "leaf_hash", "erased", "commitments", "proof"} {
		delete(e, name)
	}
	e["personal"], e["v"] = personal, "tenantry-audit-1"
	leaf := plainJSON(t, e)
	sum := sha256.Sum256(append([]byte{0}, leaf...))
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("leaf hash %s, want %s of %s", got, want, leaf)
	}
}

func TestAnEventHasTheMembersOfTheContract(t *testing.T) {
	t.Parallel()
	e := decoded(t, call(t, adaOrg.token(t), "GET", acmeLog+"/events/"+makeEvent(t).ID, nil).body)
	for _, name := range []string{
		"id", "org_id", "seq", "occurred_at", "actor", "action", "resource", "outcome", "request_id",
		"decision_id", "policy_version", "ip", "changes", "leaf_hash",
	} {
		if _, ok := e[name]; !ok {
			t.Errorf("there is no %s", name)
		}
		delete(e, name)
	}
	for name := range e { // what a verifier needs beside them
		if name != "commitments" && name != "erased" {
			t.Errorf("%s is more than the contract says", name)
		}
	}
}

func TestEventsAreFoundByEachFilter(t *testing.T) {
	t.Parallel()
	e := makeEvent(t)
	full := decoded(t, call(t, adaOrg.token(t), "GET", acmeLog+"/events/"+e.ID, nil).body)
	at, err := time.Parse(time.RFC3339Nano, full["occurred_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	here := url.Values{"resource": {e.Resource.ID}}
	for name, c := range map[string]struct {
		key, value string
		found      bool
	}{
		"the actor":      {"actor", full["actor"].(map[string]any)["id"].(string), true},
		"another actor":  {"actor", "nobody", false},
		"the action":     {"action", e.Action, true},
		"another action": {"action", "delete", false},
		"from then":      {"from", at.Format(time.RFC3339Nano), true},
		"from later":     {"from", at.Add(time.Microsecond).Format(time.RFC3339Nano), false},
		"to later":       {"to", at.Add(time.Microsecond).Format(time.RFC3339Nano), true},
		"to then":        {"to", at.Format(time.RFC3339Nano), false},
	} {
		q := url.Values{c.key: {c.value}, "resource": here["resource"]}
		for who, path := range map[*caller]string{&adaOrg: acmeLog + "/events?", &root: "/api/v1/admin/audit/events?"} {
			page := want[list[loggedEvent]](t, call(t, who.token(t), "GET", path+q.Encode(), nil), http.StatusOK)
			if got := len(page.Items) == 1 && page.Items[0].ID == e.ID; got != c.found || page.Items == nil {
				t.Errorf("%s at %s: found %v, want %v", name, path, got, c.found)
			}
		}
	}
	for _, bad := range []string{"from", "to"} {
		for _, value := range []string{"yesterday", "2026-13-01T00:00:00Z", "2026-01-01"} {
			for _, list := range []string{"events", "export"} {
				f := wantFailure(t, call(t, adaOrg.token(t), "GET", acmeLog+"/"+list+"?"+bad+"="+value, nil), http.StatusBadRequest, "validation_failed")
				if stockHost && (len(f.Details.Fields) != 1 || f.Details.Fields[0].Field != bad) {
					t.Errorf("%s %s=%s: %+v", list, bad, value, f)
				}
			}
		}
	}
}
