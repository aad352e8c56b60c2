//go:build acceptance && local

package acceptance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever comes in, a line of the log is one JSON object, and none of them repeats a credential, an
// address, a query or a body. (OWASP ASVS 16.2, 16.4)
func TestTheLogTellsNoSecretAndCannotBeForged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: scratch(t), seed: true, log: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	projects := "/api/v1/app/orgs/" + acme + "/projects"
	named := func(id string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Request-ID", id) }
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	const forged = "\r\n{\"level\":\"error\",\"msg\":\"canary-forged\"}\r\n"
	p := want[project](t, at(a, t, bobApp, "POST", projects, map[string]any{
		"title": "canary-title", "body": "canary-body\n", "sensitivity": "internal", "pii": false}, named("made")), http.StatusCreated)
	for _, r := range []reply{
		at(a, t, bobApp, "POST", projects, map[string]any{"title": "canary" + forged, "sensitivity": "internal", "pii": false}, named("forged")),
		at(a, t, bobApp, "GET", projects+"/"+p.ID+"?q=canary-query", nil, named("read")),
		at(a, t, eveApp, "GET", projects+"/"+p.ID, nil, named("foreign")),
		at(a, t, bobApp, "GET", projects, nil, bearer("canary-token"), named("unreadable")),
		at(a, t, bobApp, "GET", projects, nil, bearer("tnt_canary0123456789"), named("nokey")),
		at(a, t, bobApp, "GET", projects, nil, bearer(bobApp.token(t)+"canary"), named("badsignature")),
		at(a, t, bobApp, "POST", projects, map[string]any{"title": 7, "canary": "canary-field", "pii": "canary"}, named("wrongtypes")),
		at(a, t, bobApp, "GET", "/api/v1/canary-path/canary@acme.test%0d%0a%7b%22level%22:%22canary%22%7d?token=canary", nil, named("nowhere")),
		at(a, t, bobApp, "GET", projects+"/canary%0d%0a", nil, named("noid")),
		at(a, t, adaOrg, "POST", "/api/v1/org/"+acme+"/invitations", map[string]any{"email": "canary@acme.test", "org_roles": []string{"member"}}, named("invited")),
		at(a, t, mallory, "POST", "/api/v1/app/invitations/accept", map[string]any{"token": "canary-invitation"}, named("noinvitation")),
		at(a, t, bobApp, "GET", "/api/v1/me", nil, named("me"), func(r *http.Request) {
			r.Header.Set("User-Agent", "canary-agent")
			r.Header.Set("X-Forwarded-For", "canary-address")
			r.Header.Set("Traceparent", "00-canary")
			r.Header.Set("Cookie", "session=canary-cookie")
		}),
	} {
		if r.status >= http.StatusInternalServerError {
			t.Errorf("got %d: %s", r.status, r.body)
		}
	}
	raw(t, a, "GET /api/v1/me HTTP/1.1\r\nHost: canary-host\r\nX-Request-Id: canary {\"level\":\"error\"}\r\nX-Correlation-Id: canary\tcanary\r\nAuthorization: Bearer a\r\nConnection: close\r\n\r\n")
	a.stop()

	lines := parsed(t, path)
	for id, want := range map[string]map[string]any{
		"made":         {"level": "info", "msg": "request", "route": "orgs.CreateProject", "status": 201.0, "outcome": "succeeded", "org_id": acme, "audience": "tenantry-app"},
		"read":         {"level": "info", "route": "orgs.ReadProject", "status": 200.0, "outcome": "succeeded", "org_id": acme},
		"foreign":      {"level": "info", "status": 404.0, "outcome": "failed"},
		"unreadable":   {"msg": "request refused", "status": 401.0, "outcome": "denied"},
		"badsignature": {"status": 401.0, "outcome": "denied"},
		"wrongtypes":   {"status": 400.0, "outcome": "failed"},
		"nowhere":      {"status": 404.0, "outcome": "failed"},
	} {
		found := lines[id]
		if len(found) != 1 {
			t.Errorf("%s: %d lines, want 1: %v", id, len(found), found)
			continue
		}
		for name, value := range want {
			if found[0][name] != value {
				t.Errorf("%s: %s is %v, want %v", id, name, found[0][name], value)
			}
		}
		for _, name := range []string{"time", "trace_id", "duration_ms"} {
			if found[0][name] == nil {
				t.Errorf("%s: no %s", id, name)
			}
		}
	}
	for _, name := range []string{"actor", "org_id", "audience", "decision_id", "policy_version"} {
		if v, _ := lines["read"][0][name].(string); v == "" {
			t.Errorf("an authorised read has no %s: %v", name, lines["read"][0])
		}
	}
}

// raw sends what no client would, and waits for the end of the answer.
func raw(t *testing.T, a *app, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// parsed is the lines of a log about requests, by request. Each must be JSON and tell nothing.
func parsed(t *testing.T, path string) map[string][]map[string]any {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := map[string][]map[string]any{}
	n := 0
	for scan := bufio.NewScanner(file); scan.Scan(); n++ {
		var line map[string]any
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			t.Errorf("%v: %s", err, scan.Bytes())
			continue
		}
		for _, secret := range []string{"canary", "eyJ", "@", "demo"} {
			if strings.Contains(scan.Text(), secret) {
				t.Errorf("%q is in %s", secret, scan.Bytes())
			}
		}
		if msg := fmt.Sprint(line["msg"]); strings.HasPrefix(msg, "request") {
			id := fmt.Sprint(line["request_id"])
			out[id] = append(out[id], line)
		}
	}
	if n < 10 {
		t.Fatalf("only %d lines: this proves nothing", n)
	}
	return out
}
