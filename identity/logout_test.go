package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"encore.app/authz/principal"
	"encore.app/identity/token"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
)

// issuer signs with one key and publishes it.
type issuer struct {
	*httptest.Server
	key ed25519.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(v) }
	}
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	mux.Handle("/.well-known/openid-configuration", answer(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}))
	mux.Handle("/keys", answer(map[string]any{"keys": []any{map[string]string{
		"kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig", "alg": "EdDSA", "x": base64.RawURLEncoding.EncodeToString(public)}}}))
	return i
}

func (i *issuer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(map[string]string{"alg": "EdDSA", "kid": "one"}) + "." + encode(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(signed)))
}

func (i *issuer) access(t testing.TB, subject, session string, issued time.Time) string {
	return i.sign(t, map[string]any{"iss": i.URL, "aud": "tenantry-app", "azp": "app", "typ": "Bearer", "sub": subject, "sid": session,
		"jti": rowid.New().String(), "iat": issued.Unix(), "exp": issued.Add(10 * time.Minute).Unix()})
}

func (i *issuer) logout(t *testing.T, changes map[string]any) string {
	now := time.Now()
	claims := map[string]any{"iss": i.URL, "aud": "app", "jti": rowid.New().String(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	for name, value := range changes {
		claims[name] = value
	}
	return i.sign(t, claims)
}

func newService(t testing.TB, i *issuer) (*Service, *clock) {
	t.Helper()
	c := &clock{now: time.Now()}
	tokens, err := token.New(token.Config{Issuer: i.URL, Audiences: clients, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	if err := open().Pool().Ping(context.Background()); err != nil { // see setup
		t.Fatal(err)
	}
	return &Service{tokens: tokens, db: open(), users: newUsers(open(), c.Now)}, c
}

func send(s *Service, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/oidc/backchannel-logout", strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r = r.WithContext(request.NewContext(r.Context(), request.Info{ID: "req-1"}))
	w := httptest.NewRecorder()
	s.BackchannelLogout(w, r)
	return w
}

const form = "application/x-www-form-urlencoded"

func TestBackchannelLogoutEndsWhatItNames(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, c := newService(t, i)
	earlier := time.Now().Add(-time.Minute)
	ada, bob := rowid.New().String(), rowid.New().String()
	first, second, other := i.access(t, ada, "ada-1", earlier), i.access(t, ada, "ada-2", earlier), i.access(t, bob, "bob-1", earlier)
	expect := func(what string, refused ...bool) {
		t.Helper()
		c.advance(userFreshness)
		for n, raw := range []string{first, second, other} {
			caller, err := s.authenticate(context.Background(), "Bearer "+raw)
			if (err != nil) != refused[n] || err != nil && reason(t, caller, err) != fault.TokenRevoked {
				t.Errorf("%s: token %d: %v, want refused %v", what, n, err, refused[n])
			}
		}
	}
	end := func(changes map[string]any) {
		t.Helper()
		if w := send(s, form, url.Values{"logout_token": {i.logout(t, changes)}}.Encode()); w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
	expect("before", false, false, false)
	end(map[string]any{"sid": "ada-1", "sub": ada})
	expect("one session", true, false, false)
	end(map[string]any{"sub": ada})
	expect("all of ada's", true, true, false)
	end(map[string]any{"sub": rowid.New().String()})
	expect("somebody unknown", true, true, false)
}

func TestBackchannelLogoutRefuses(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, _ := newService(t, i)
	good := url.Values{"logout_token": {i.logout(t, map[string]any{"sid": rowid.New().String()})}}.Encode()
	if w := send(s, form, good); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	for name, c := range map[string]struct{ kind, body string }{
		"a replay":       {form, good},
		"no form":        {"application/json", `{"logout_token":"x"}`},
		"no type":        {"", good},
		"no token":       {form, ""},
		"two tokens":     {form, good + "&" + good},
		"garbage":        {form, "logout_token=garbage"},
		"not a form":     {form, "logout_token=%zz"},
		"huge":           {form, "logout_token=" + strings.Repeat("a", 1<<20)},
		"with a nonce":   {form, url.Values{"logout_token": {i.logout(t, map[string]any{"sid": "s", "nonce": "n"})}}.Encode()},
		"names nothing":  {form, url.Values{"logout_token": {i.logout(t, nil)}}.Encode()},
		"another client": {form, url.Values{"logout_token": {i.logout(t, map[string]any{"sid": "s", "aud": "else"})}}.Encode()},
	} {
		w := send(s, c.kind, c.body)
		if w.Code != http.StatusBadRequest || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Body.String(), `"req-1"`) {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
	i.Close()
	fresh, _ := newService(t, i)
	if w := send(fresh, form, good); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without keys: got %d %s", w.Code, w.Body)
	}
}

// A person who is turned off is refused whatever they bring, and says so in one word.
func TestAuthenticateRefusesWhoIsOff(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, c := newService(t, i)
	raw := i.access(t, rowid.New().String(), "s", time.Now())
	caller, err := s.authenticate(context.Background(), "bearer "+raw)
	if err != nil || caller.Audience != principal.AudienceApp {
		t.Fatalf("got %+v, %v", caller, err)
	}
	for _, status := range []string{statusDisabled, statusErased} {
		exec(t, tenantdb.Scope{}, "update identity.users set status = $2 where id = $1", caller.UserID, status)
		c.advance(userFreshness)
		got, err := s.authenticate(context.Background(), "Bearer "+raw)
		if r := reason(t, got, err); r != fault.TokenRevoked {
			t.Errorf("%s: %s", status, r)
		}
	}
}
