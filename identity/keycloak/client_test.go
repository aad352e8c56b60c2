package keycloak_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/identity/keycloak"
)

// claim reads a claim of a token without checking it.
func claim(t *testing.T, raw, name string) any {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", raw)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims[name]
}

// fake is a server that answers admin calls as a test says and counts.
type fake struct {
	tokens, calls atomic.Int32
	admin         http.HandlerFunc
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":60}`, f.tokens.Add(1))
		return
	}
	f.calls.Add(1)
	f.admin(w, r)
}

type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(c.ahead.Load()))
}

func setup(t *testing.T, admin http.HandlerFunc) (*fake, *keycloak.Client, *clock) {
	t.Helper()
	f, at := &fake{admin: admin}, &clock{}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c, err := keycloak.New(keycloak.Config{
		Issuer: s.URL + "/auth/realms/tenantry", ClientID: "c", ClientSecret: "s", Now: at.now,
		Pause: func(ctx context.Context, _ int) error { return ctx.Err() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, c, at
}

func answerUser(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id":"1","enabled":true}`) }

func TestTheTokenIsKeptAndRenewed(t *testing.T) {
	t.Parallel()
	f, c, at := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/auth/admin/realms/tenantry/users/1" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		answerUser(w, r)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.User(t.Context(), "1"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.tokens.Load(); n != 1 {
		t.Errorf("%d tokens for 20 calls", n)
	}
	at.ahead.Store(int64(45 * time.Second)) // less than the margin is left
	if _, err := c.User(t.Context(), "1"); err != nil || f.tokens.Load() != 2 {
		t.Errorf("%d tokens, %v", f.tokens.Load(), err)
	}
}

func TestARefusedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	f, c, _ := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answerUser(w, r)
	})
	if _, err := c.User(t.Context(), "1"); err != nil || f.tokens.Load() != 2 {
		t.Errorf("%d tokens, %v", f.tokens.Load(), err)
	}
	f, c, _ = setup(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if _, err := c.User(t.Context(), "1"); !errors.Is(err, keycloak.ErrCredentials) || f.calls.Load() != 3 {
		t.Errorf("%d calls, %v", f.calls.Load(), err)
	}
}

func TestFailuresAreRetriedAFewTimes(t *testing.T) {
	t.Parallel()
	hangUp := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	for name, fail := range map[string]func(http.ResponseWriter){
		"500":        func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"503":        func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"broken off": hangUp,
	} {
		var n atomic.Int32
		f, c, _ := setup(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) < 3 {
				fail(w)
				return
			}
			answerUser(w, r)
		})
		if _, err := c.User(t.Context(), "1"); err != nil || f.calls.Load() < 3 {
			t.Errorf("%s, twice: %d calls, %v", name, f.calls.Load(), err)
		}
		f, c, _ = setup(t, func(w http.ResponseWriter, _ *http.Request) { fail(w) })
		// net/http itself tries once more where a kept connection breaks.
		if _, err := c.User(t.Context(), "1"); !errors.Is(err, keycloak.ErrUnavailable) || f.calls.Load() < 3 || f.calls.Load() > 6 {
			t.Errorf("%s, always: %d calls, %v", name, f.calls.Load(), err)
		}
	}
	f, c, _ := setup(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if _, err := c.User(t.Context(), "1"); err == nil || errors.Is(err, keycloak.ErrUnavailable) || f.calls.Load() != 1 {
		t.Errorf("a mistake of ours: %d calls, %v", f.calls.Load(), err)
	}
}

func TestTheCallersContextEndsIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f, c, _ := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.User(ctx, "1"); !errors.Is(err, context.Canceled) || f.calls.Load() != 1 {
		t.Errorf("%d calls, %v", f.calls.Load(), err)
	}
}

// TestErrorsSayNothingOfTheAnswer: bodies quote e-mail addresses, and addresses of the API hold some.
func TestErrorsSayNothingOfTheAnswer(t *testing.T) {
	t.Parallel()
	_, c, _ := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"errorMessage":"User exists with email ada@acme.test"}`)
	})
	_, err := c.FindUser(t.Context(), "ada@acme.test")
	if err == nil || strings.Contains(err.Error(), "ada") || !strings.Contains(err.Error(), "find user") || !strings.Contains(err.Error(), "409") {
		t.Errorf("%v", err)
	}
	down, err := keycloak.New(keycloak.Config{
		Issuer: "http://127.0.0.1:1/realms/tenantry", ClientID: "c", ClientSecret: "hunter2",
		Pause: func(context.Context, int) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = down.FindUser(t.Context(), "ada@acme.test")
	if !errors.Is(err, keycloak.ErrUnavailable) || strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestALongListIsReadInPages(t *testing.T) {
	t.Parallel()
	_, c, _ := setup(t, func(w http.ResponseWriter, r *http.Request) {
		var first, count int
		fmt.Sscan(r.URL.Query().Get("first"), &first)
		fmt.Sscan(r.URL.Query().Get("max"), &count)
		page := []keycloak.User{}
		for n := first; n < min(first+count, 250); n++ {
			page = append(page, keycloak.User{ID: fmt.Sprint(n)})
		}
		json.NewEncoder(w).Encode(page)
	})
	got, err := c.RoleMembers(t.Context(), "x")
	if err != nil || len(got) != 250 || got[249].ID != "249" {
		t.Errorf("%d members, %v", len(got), err)
	}
}

// A create whose answer was lost is found, not made a second time.
func TestALostAnswerToACreate(t *testing.T) {
	t.Parallel()
	made := false
	_, c, _ := setup(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && !made:
			fmt.Fprint(w, `[]`)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `[{"id":"7","email":"ada@acme.test"}]`)
		case made:
			w.WriteHeader(http.StatusConflict)
		default:
			made = true
			panic(http.ErrAbortHandler)
		}
	})
	user, created, err := c.EnsureUser(t.Context(), keycloak.NewUser{Email: "ada@acme.test"})
	if err != nil || created || user.ID != "7" {
		t.Errorf("%+v, %v, %v", user, created, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]keycloak.Config{
		"no issuer":       {ClientID: "c", ClientSecret: "s"},
		"no realm":        {Issuer: "https://id.example", ClientID: "c", ClientSecret: "s"},
		"another product": {Issuer: "https://id.example/oauth2/default", ClientID: "c", ClientSecret: "s"},
		"a file":          {Issuer: "file:///realms/x", ClientID: "c", ClientSecret: "s"},
		"bad internal":    {Issuer: "https://id.example/realms/x", InternalURL: "keycloak:8080", ClientID: "c", ClientSecret: "s"},
		"no secret":       {Issuer: "https://id.example/realms/x", ClientID: "c"},
	} {
		if _, err := keycloak.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
