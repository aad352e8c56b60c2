//go:build acceptance && local

package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// check holds an answer to the document and to what every answer owes.
func (f *fuzzer) check(what, id string, op apiOperation, r reply) {
	f.t.Helper()
	fail := func(format string, args ...any) {
		f.t.Helper()
		f.t.Errorf("%s: %d: %s: %.500s", what, r.status, fmt.Sprintf(format, args...), r.body)
	}
	documented, known := op.Responses[strconv.Itoa(r.status)]
	if wide, ok := op.Responses["2XX"]; ok && !known && r.status < 300 {
		documented, known = wide, true
	}
	if d, ok := op.Responses["default"]; ok && !known {
		documented, known = d, true
	}
	switch {
	case r.status >= 500:
		text, _ := os.ReadFile(f.log)
		lines := slices.DeleteFunc(bytes.Split(text, []byte("\n")), func(line []byte) bool { return !bytes.Contains(line, []byte(`"`+id+`"`)) })
		fail("a fault; the log says %s", bytes.Join(lines, []byte(" ")))
	case !known:
		fail("the document does not have this status")
	}
	owed := map[string]string{"X-Request-Id": id, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
	if strings.Contains(what, " /api/") { // pages for people may be kept, and load their own parts
		owed["Cache-Control"], owed["Content-Security-Policy"] = "no-store", "default-src 'none'; frame-ancestors 'none'"
	}
	for name, want := range owed {
		if r.header.Get(name) != want {
			fail("%s is %q", name, r.header.Get(name))
		}
	}
	if !strings.Contains(r.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		fail("it may be framed")
	}
	for _, secret := range slices.Concat([]string{canaryToken, canaryHeader}, f.secret, f.tokens) {
		if bytes.Contains(r.body, []byte(secret)) || strings.Contains(fmt.Sprint(r.header), secret) {
			fail("%.12s… is in the answer", secret)
		}
	}
	media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	content, described := documented.Content["application/json"]
	if r.status >= 400 {
		content.Schema, described = f.doc.Components.Schemas["Error"], true
	}
	if !described {
		if len(r.body) > 0 && !slices.Contains([]string{"application/json", "application/x-ndjson", "text/csv", "text/plain", "text/html", "text/javascript", "text/css", "application/gzip", "application/zip"}, media) {
			fail("of type %q", media)
		}
		return
	}
	var v any
	if err := json.Unmarshal(r.body, &v); err != nil || media != "application/json" {
		fail("of type %q: %v", media, err)
	} else if why := f.doc.differs(content.Schema, v, "body"); why != "" {
		fail("not as described: %s", why)
	}
	if r.status < 400 {
		return
	}
	var e failure
	if json.Unmarshal(r.body, &e) != nil || e.Details.Reason == "" || e.Details.RequestID != id {
		fail("an error without reason or request id")
	}
}

// learn keeps what the items of a list, or a thing just made, are called.
func (f *fuzzer) learn(path string, r reply) {
	path, _, _ = strings.Cut(path, "?")
	var page struct{ Items []map[string]any }
	var one map[string]any
	if json.Unmarshal(r.body, &page) != nil || json.Unmarshal(r.body, &one) != nil {
		return
	}
	if r.status == http.StatusCreated {
		page.Items = append(page.Items, one)
	}
	for _, item := range page.Items {
		for _, name := range []string{"id", "user_id", "key", "name"} {
			if text, ok := item[name].(string); ok && text != "" {
				f.pool[path] = append(f.pool[path], text)
				break
			}
		}
	}
	if n := len(f.pool[path]); n > 50 {
		f.pool[path] = f.pool[path][n-50:]
	}
}

// readLog holds every line of the log to be one object, without anything that was planted.
func (f *fuzzer) readLog() {
	text, err := os.ReadFile(f.log)
	if err != nil {
		f.t.Fatal(err)
	}
	secrets := slices.Concat([]string{canaryBody, canaryHeader, canaryToken, "@acme.test", "@fuzz.test"}, f.secret, f.tokens)
	lines := 0
	for line := range bytes.Lines(text) {
		lines++
		if !json.Valid(line) {
			f.t.Errorf("a line of the log is not JSON: %.300s", line)
		}
		for _, secret := range secrets {
			if bytes.Contains(line, []byte(secret)) {
				f.t.Errorf("%.12s… is in the log: %.500s", secret, line)
			}
		}
	}
	if lines < f.calls {
		f.t.Errorf("%d lines for %d calls: the log was not read", lines, f.calls)
	}
}

// secretsOfTheApp are those that its environment gives it.
func secretsOfTheApp(t *testing.T) []string {
	secrets := []string{canaryOps}
	for _, name := range []string{"STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"} {
		if value := os.Getenv(name); value != "" {
			secrets = append(secrets, value)
		}
	}
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "RABBITMQ_URL"} {
		u, err := url.Parse(os.Getenv(name))
		if err != nil {
			t.Fatal(err)
		}
		if password, ok := u.User.Password(); ok && len(password) > 8 {
			secrets = append(secrets, password)
		}
	}
	return secrets
}
