//go:build acceptance

package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
)

// The demo tenants.
const (
	acme       = "00000000-0000-7000-8000-0000000000ac"
	globex     = "00000000-0000-7000-8000-000000000906"
	totpSecret = "JBSWY3DPEHPK3PXP"
)

// target is the app under test.
var target struct{ base, issuer string }

var client = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// caller is a person at a client of the issuer, with or without a second factor.
type caller struct {
	user, client string
	mfa          bool
}

var (
	root     = caller{user: "root@tenantry.test", client: "admin-console"}
	adaOrg   = caller{user: "ada@acme.test", client: "org-console"}
	adaApp   = caller{user: "ada@acme.test", client: "app"}
	graceApp = caller{user: "grace@acme.test", client: "app"}
	bobApp   = caller{user: "bob@acme.test", client: "app"}
	eveOrg   = caller{user: "eve@globex.test", client: "org-console"}
	eveApp   = caller{user: "eve@globex.test", client: "app"}
	mallory  = caller{user: "mallory@nowhere.test", client: "app"}
)

var tokens struct {
	sync.Mutex
	byCaller map[caller]string
}

// token signs the caller in by direct grant, once a run.
func (c caller) token(t testing.TB) string {
	t.Helper()
	tokens.Lock()
	defer tokens.Unlock()
	if raw, ok := tokens.byCaller[c]; ok {
		return raw
	}
	raw := signIn(t, c)
	if tokens.byCaller == nil {
		tokens.byCaller = map[caller]string{}
	}
	tokens.byCaller[c] = raw
	return raw
}

func signIn(t testing.TB, c caller) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "client_id": {c.client}, "username": {c.user}, "password": {"demo"}}
	if c.mfa {
		code, err := totp.GenerateCode(totpSecret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		form.Set("totp", code)
	}
	resp, err := client.PostForm(target.issuer+"/protocol/openid-connect/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	body, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(body, &out); err != nil || out.AccessToken == "" {
		t.Fatalf("sign in %s at %s: %s %s", c.user, c.client, resp.Status, body)
	}
	return out.AccessToken
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// failure is the shape of every error.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details struct {
		Reason    string `json:"reason"`
		RequestID string `json:"request_id"`
		Fields    []struct {
			Field   string `json:"field"`
			Message string `json:"message"`
		} `json:"fields"`
	} `json:"details"`
}

// reason is the stable word of the failure. What Encore itself answers, before any code of the app
// runs, has a code and no details; the stock-Go host gives its own answers details too.
func (f failure) reason() string {
	if f.Details.Reason != "" || stockHost {
		return f.Details.Reason
	}
	if f.Code == "invalid_argument" {
		return "validation_failed"
	}
	return f.Code
}

// call makes a request. body is sent as it is if it is a string or bytes, as JSON otherwise.
func call(t testing.TB, bearer, method, path string, body any, edit ...func(*http.Request)) reply {
	t.Helper()
	req, err := http.NewRequest(method, target.base+path, reader(t, body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for _, e := range edit {
		e(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: out}
}

func reader(t testing.TB, body any) io.Reader {
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(b)
	case []byte:
		return bytes.NewReader(b)
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(text)
}

// want checks the status and decodes the body.
func want[T any](t testing.TB, r reply, status int) T {
	t.Helper()
	var out T
	if r.status != status {
		t.Fatalf("got %d, want %d: %s", r.status, status, r.body)
	}
	if err := json.Unmarshal(r.body, &out); err != nil {
		t.Fatalf("not the JSON expected: %v: %s", err, r.body)
	}
	return out
}

// wantFailure checks status and reason of an error.
func wantFailure(t testing.TB, r reply, status int, reason string) failure {
	t.Helper()
	f := want[failure](t, r, status)
	if f.reason() != reason {
		t.Fatalf("got reason %q, want %q: %s", f.reason(), reason, r.body)
	}
	if f.Message == "" || f.Code == "" {
		t.Fatalf("an error without code or message: %s", r.body)
	}
	return f
}

// unique makes a name that no other test or run has.
func unique(prefix string) string { return prefix + "-" + uuid.NewString()[:13] }

// eventually polls until ok or the deadline.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-tick.C
	}
}

func must(name string) string {
	v := os.Getenv(name)
	if v == "" {
		fmt.Fprintf(os.Stderr, "acceptance: %s is not set\n", name)
		os.Exit(2)
	}
	return v
}
