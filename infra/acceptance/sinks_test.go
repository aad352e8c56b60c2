//go:build acceptance

package acceptance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

type auditSink struct {
	ID, URL, Status, Secret string
	Events                  []string
	Enabled                 bool
	Version                 int
	NextSeq                 int64      `json:"next_seq"`
	OldSecretUntil          *time.Time `json:"old_secret_until"`
}

const sinksPath = "/api/v1/org/" + acme + "/audit/sinks"

// addSink makes a sink at an address that no name server knows, and removes it with the test.
func addSink(t *testing.T, body string) auditSink {
	t.Helper()
	s := want[auditSink](t, call(t, adaOrg.token(t), "POST", sinksPath, body), http.StatusCreated)
	t.Cleanup(func() {
		if r := call(t, adaOrg.token(t), "DELETE", sinksPath+"/"+s.ID, nil); r.status/100 != 2 && r.status != http.StatusNotFound {
			t.Errorf("delete: %d %s", r.status, r.body)
		}
	})
	return s
}

func TestASinksSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	s := addSink(t, `{"url":"https://hooks.invalid/a","events":["project.*"]}`)
	if !strings.HasPrefix(s.Secret, "whsec_") || !s.Enabled || s.Status != "active" || len(s.Events) != 1 || s.NextSeq < 1 {
		t.Fatalf("got %+v", s)
	}
	for _, path := range []string{sinksPath + "?limit=200", sinksPath + "/" + s.ID} {
		r := call(t, adaOrg.token(t), "GET", path, nil)
		if r.status != http.StatusOK || !strings.Contains(string(r.body), s.ID) || strings.Contains(string(r.body), "whsec_") || strings.Contains(string(r.body), `"secret"`) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	next := want[auditSink](t, call(t, adaOrg.token(t), "PATCH", sinksPath+"/"+s.ID, `{"rotate_secret":true}`), http.StatusOK)
	if !strings.HasPrefix(next.Secret, "whsec_") || next.Secret == s.Secret || next.OldSecretUntil == nil {
		t.Errorf("rotated: %+v", next)
	}
}

func TestASinkIsChangedByTheVersionThatWasSeen(t *testing.T) {
	t.Parallel()
	s := addSink(t, `{"url":"https://hooks.invalid/b"}`)
	path := sinksPath + "/" + s.ID
	read := call(t, adaOrg.token(t), "GET", path, nil)
	if text := string(call(t, adaOrg.token(t), "GET", sinksPath+"?limit=200", nil).body); strings.Contains(strings.ToLower(text), "etag") {
		t.Errorf("a list has no version tags, they are for If-Match: %s", text)
	}
	tag := func(r *http.Request) { r.Header.Set("If-Match", read.header.Get("ETag")) }
	off := want[auditSink](t, call(t, adaOrg.token(t), "PATCH", path, `{"enabled":false}`, tag), http.StatusOK)
	if off.Enabled || off.Status != "disabled" {
		t.Errorf("got %+v", off)
	}
	wantFailure(t, call(t, adaOrg.token(t), "PATCH", path, `{"enabled":true}`, tag), http.StatusPreconditionFailed, "version_conflict")
	page := want[list[json.RawMessage]](t, call(t, adaOrg.token(t), "GET", path+"/deliveries", nil), http.StatusOK)
	if page.Items == nil {
		t.Error("items is null")
	}
	if r := call(t, adaOrg.token(t), "DELETE", path, nil); r.status/100 != 2 {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	wantFailure(t, call(t, adaOrg.token(t), "GET", path, nil), http.StatusNotFound, "not_found")
}

// Where an event is sent to is an outsider's word (OWASP API7).
func TestASinkMayNotPointIntoThisNetwork(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data/", "https://10.0.0.1/", "https://[::ffff:10.0.0.1]/",
		"https://localhost/", "https://100.64.0.1/", "https://[fd00::1]/", "https://2130706433/", "https://hooks.invalid:22/", "ftp://hooks.invalid/",
		"https://user:password@hooks.invalid/", "not a url", "",
	} {
		body, _ := json.Marshal(map[string]string{"url": url})
		f := wantFailure(t, call(t, adaOrg.token(t), "POST", sinksPath, string(body)), http.StatusBadRequest, "validation_failed")
		if stockHost && (len(f.Details.Fields) == 0 || f.Details.Fields[0].Field != "url") {
			t.Errorf("%q: the field is not named: %+v", url, f)
		}
	}
}

func TestBadSinksAreRefused(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a short secret":    `{"url":"https://hooks.invalid/","secret":"short"}`,
		"a broken secret":   `{"url":"https://hooks.invalid/","secret":"whsec_!!!"}`,
		"no pattern":        `{"url":"https://hooks.invalid/","events":["a.b.c"]}`,
		"an unknown field":  `{"url":"https://hooks.invalid/","org_id":"00000000-0000-7000-8000-000000000906"}`,
		"a changed version": `{"url":"https://hooks.invalid/","version":7}`,
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "unknown") || strings.Contains(name, "version") {
				if !stockHost {
					return // Encore ignores unknown fields, and binds them to nothing
				}
			}
			wantFailure(t, call(t, adaOrg.token(t), "POST", sinksPath, body), http.StatusBadRequest, "validation_failed")
		})
	}
}

func TestQueuesAreShown(t *testing.T) {
	t.Parallel()
	type queue struct {
		Name  string
		Depth *int
		Age   *float64 `json:"age_seconds"`
		Dead  *int
	}
	page := want[list[queue]](t, call(t, root.token(t), "GET", "/api/v1/admin/queues", nil), http.StatusOK)
	names := map[string]bool{}
	for _, q := range page.Items {
		if q.Depth == nil || q.Age == nil || q.Dead == nil {
			t.Errorf("%s lacks something: %+v", q.Name, q)
		}
		names[q.Name] = true
		dead := want[list[json.RawMessage]](t, call(t, root.token(t), "GET", "/api/v1/admin/queues/"+q.Name+"/dead", nil), http.StatusOK)
		if dead.Items == nil {
			t.Errorf("%s: items is null", q.Name)
		}
	}
	if !names["audit-events"] || !names["sink-deliveries"] {
		t.Errorf("got %v", names)
	}
	var paged []string
	for cursor := ""; ; {
		one := want[list[queue]](t, call(t, root.token(t), "GET", "/api/v1/admin/queues?limit=1&cursor="+cursor, nil), http.StatusOK)
		for _, q := range one.Items {
			paged = append(paged, q.Name)
		}
		if cursor = one.NextCursor; cursor == "" {
			break
		}
	}
	if len(paged) != len(names) || !slices.IsSorted(paged) {
		t.Errorf("page by page: %v, want %v", paged, names)
	}
	wantFailure(t, call(t, root.token(t), "GET", "/api/v1/admin/queues?limit=0", nil), http.StatusBadRequest, "validation_failed")
	// Letters that are named and not there are none, and all others stay.
	for method, path := range map[string]string{"DELETE": "/api/v1/admin/queues/audit-events/dead", "POST": "/api/v1/admin/queues/audit-events/dead/requeue"} {
		wantFailure(t, call(t, root.token(t), method, path+"?ids=all", nil), http.StatusBadRequest, "validation_failed")
		done := want[struct{ Count *int }](t, call(t, root.token(t), method, path+"?ids="+acme+"&ids="+globex, nil), http.StatusOK)
		if done.Count == nil || *done.Count != 0 {
			t.Errorf("%s: %+v", method, done)
		}
	}
}
