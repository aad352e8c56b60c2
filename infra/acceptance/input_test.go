//go:build acceptance

package acceptance

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestBadBodiesAreRefusedByField(t *testing.T) {
	t.Parallel()
	path := "/api/v1/app/orgs/" + acme + "/projects"
	for name, c := range map[string]struct {
		body  any
		field string // "" where the body as a whole is at fault
		// merged: Encore's decoder takes the first object, or merges two, and says nothing.
		merged bool
	}{
		"no body":             {body: nil},
		"empty body":          {body: ""},
		"null":                {body: "null"},
		"a list":              {body: "[]"},
		"a string":            {body: `"s"`},
		"garbage":             {body: "garbage"},
		"truncated":           {body: `{"title":"a","sensitivity":"int`},
		"trailing text":       {body: `{"title":"a","sensitivity":"internal","pii":false} x`, merged: true},
		"two objects":         {body: `{"title":"a"}{"sensitivity":"internal"}`, merged: true},
		"wrong type":          {body: `{"title":7,"sensitivity":"internal","pii":false}`, field: "title"},
		"wrong type, nested":  {body: `{"title":"a","sensitivity":"internal","pii":"no"}`, field: "pii"},
		"not a UUID":          {body: `{"title":"a","sensitivity":"internal","pii":false,"team_id":"x"}`, field: "team_id"},
		"missing":             {body: `{"sensitivity":"internal","pii":false}`, field: "title"},
		"missing, no default": {body: `{"title":"a","sensitivity":"internal"}`, field: "pii"},
		"control characters":  {body: `{"title":"a\u0000b","sensitivity":"internal","pii":false}`, field: "title"},
		"blank":               {body: `{"title":"  ","sensitivity":"internal","pii":false}`, field: "title"},
		"unknown value":       {body: `{"title":"a","sensitivity":"cosmic","pii":false}`, field: "sensitivity"},
		"no such team":        {body: `{"title":"a","sensitivity":"internal","pii":false,"team_id":"00000000-0000-7000-8000-00000000dead"}`, field: "team_id"},
		"too long":            {body: `{"title":"` + strings.Repeat("a", 201) + `","sensitivity":"internal","pii":false}`, field: "title"},
	} {
		if c.merged && !stockHost {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := wantFailure(t, call(t, adaApp.token(t), "POST", path, c.body), http.StatusBadRequest, "validation_failed")
			if c.field == "" || (!stockHost && f.Details.Fields == nil) {
				return
			}
			for _, field := range f.Details.Fields {
				if field.Field == c.field && field.Message != "" {
					return
				}
			}
			t.Errorf("%s is not named: %+v", c.field, f)
		})
	}
}

func TestUnknownFieldsBindNothing(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"id", "org_id", "owner_id", "version", "anything"} {
		body := `{"title":"a","sensitivity":"internal","pii":false,"` + field + `":"00000000-0000-7000-8000-00000000dead"}`
		r := call(t, adaApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects", body)
		// A host that decodes strictly refuses; Encore's own ignores what it does not know.
		if r.status == http.StatusBadRequest {
			wantFailure(t, r, http.StatusBadRequest, "validation_failed")
			continue
		}
		p := want[project](t, r, http.StatusCreated)
		if p.ID == "00000000-0000-7000-8000-00000000dead" || p.OrgID != acme || p.OwnerID == "00000000-0000-7000-8000-00000000dead" {
			t.Errorf("%s was bound: %+v", field, p)
		}
	}
}

func TestBadParametersAreRefused(t *testing.T) {
	t.Parallel()
	bearer := adaApp.token(t)
	projects := "/api/v1/app/orgs/" + acme + "/projects"
	for _, path := range []string{
		projects + "?limit=x", projects + "?limit=-1", projects + "?limit=0", projects + "?limit=201", projects + "?limit=99999999999999999999",
		projects + "?cursor=" + url.QueryEscape("!!"), projects + "?cursor=bm90IGpzb24",
		projects + "/not-a-uuid",
	} {
		r := call(t, bearer, "GET", path, nil)
		if r.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", path, r.status, r.body)
		}
	}
	for _, query := range []string{"actor=%00", "action=%ff", "resource=%ed%a0%80", "actor=" + strings.Repeat("a", 300)} {
		wantFailure(t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events?"+query, nil), http.StatusBadRequest, "validation_failed")
	}
	wantFailure(t, call(t, bearer, "GET", projects+"?limit=201", nil), http.StatusBadRequest, "validation_failed")
	wantFailure(t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", nil),
		http.StatusBadRequest, "validation_failed")
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	t.Parallel()
	bearer := adaApp.token(t)
	for _, path := range []string{"/", "/api", "/api/v1/nothing", "/api/v1/me/more", "/orgs.CheckAccess"} {
		if r := call(t, bearer, "GET", path, nil); r.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s", path, r.status, r.body)
		}
	}
	// Encore answers 404 to a wrong method, the stock-Go host 405.
	r := call(t, bearer, "DELETE", "/api/v1/me", nil)
	if r.status != http.StatusMethodNotAllowed && r.status != http.StatusNotFound {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r.status == http.StatusMethodNotAllowed && r.header.Get("Allow") != "GET" {
		t.Errorf("Allow is %q", r.header.Get("Allow"))
	}
}

func TestForgedInternalHeadersMeanNothing(t *testing.T) {
	t.Parallel()
	r := call(t, "", "GET", "/api/v1/me", nil, func(r *http.Request) {
		r.Header.Set("X-Encore-Meta-Auth-Uid", "00000000-0000-7000-8000-000000000101")
		r.Header.Set("X-Encore-Meta-Auth-Userdata", `{"UserID":"00000000-0000-7000-8000-000000000101"}`)
		r.Header.Set("X-Encore-Meta-Caller", "gateway")
	})
	// The stock-Go host drops them; Encore refuses them for want of a signature, with a 500.
	if r.status != http.StatusUnauthorized && (stockHost || r.status < 400) {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// The rest is about limits that Encore leaves to a proxy; the stock-Go host has them itself.

func TestAHugeBodyIsRefused(t *testing.T) {
	if !stockHost {
		t.Skip("no body limit of its own: not the stock-Go host (STOCK_HOST=1 if it is)")
	}
	t.Parallel()
	huge := `{"title":"` + strings.Repeat("a", 2<<20) + `","sensitivity":"internal","pii":false}`
	wantFailure(t, call(t, adaApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects", huge), http.StatusRequestEntityTooLarge, "payload_too_large")
	// Without a Content-Length the limit is found while reading.
	r := call(t, adaApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects", huge, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(huge)), -1
	})
	wantFailure(t, r, http.StatusRequestEntityTooLarge, "payload_too_large")
}

func TestASlowClientIsCutOff(t *testing.T) {
	if !stockHost {
		t.Skip("no timeouts of its own: not the stock-Go host (STOCK_HOST=1 if it is)")
	}
	t.Parallel()
	u, err := url.Parse(target.base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // a byte a second, for as long as anyone listens
		defer close(done)
		for tick := time.NewTicker(time.Second); ; <-tick.C {
			if _, err := io.WriteString(conn, "a"); err != nil {
				return
			}
		}
	}()
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.Contains(line, " 408 ") && !strings.Contains(line, " 400 ") {
		t.Errorf("a request that never ended was answered: %q", line)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("cut off after %s", took)
	}
	conn.Close()
	<-done
}
