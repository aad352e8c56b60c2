package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pquerna/otp/totp"
)

const (
	callback   = "http://127.0.0.1:3000/callback"
	verifier   = "a-code-verifier-of-at-least-forty-three-characters"
	totpSecret = "JBSWY3DPEHPK3PXP"
)

// answer is any answer of an endpoint.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any // of a JSON answer
}

func (a answer) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func request(t *testing.T, method, address string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func send(t *testing.T, client *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		// A list stays raw.
		if err := json.Unmarshal(raw, &a.body); err != nil && !json.Valid(raw) {
			t.Fatalf("%s answered %d with %q", r.URL.Path, a.status, raw)
		}
	}
	return a
}

// values are name, value pairs; a value of "-" removes the name.
func values(base url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			base.Del(pairs[i])
			continue
		}
		base.Set(pairs[i], pairs[i+1])
	}
	return base
}

// post asks a protocol endpoint.
func (tg *target) post(t *testing.T, endpoint string, pairs ...string) answer {
	t.Helper()
	return send(t, http.DefaultClient, request(t, http.MethodPost, tg.endpoint(endpoint), values(url.Values{}, pairs...)))
}

// token asks the token endpoint for what it must give.
func (tg *target) token(t *testing.T, pairs ...string) answer {
	t.Helper()
	a := tg.post(t, "token", pairs...)
	if a.status != http.StatusOK {
		t.Fatalf("no token: %d %s", a.status, a.raw)
	}
	return a
}

// password is a direct grant.
func (tg *target) password(t *testing.T, client, user string, pairs ...string) answer {
	t.Helper()
	return tg.token(t, append([]string{"grant_type", "password", "client_id", client, "username", user, "password", "demo"}, pairs...)...)
}

func (tg *target) refresh(t *testing.T, client, token string) answer {
	t.Helper()
	return tg.post(t, "token", "grant_type", "refresh_token", "client_id", client, "refresh_token", token)
}

func (tg *target) userinfo(t *testing.T, token string) answer {
	t.Helper()
	r := request(t, http.MethodGet, tg.endpoint("userinfo"), nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return send(t, http.DefaultClient, r)
}

// totp is what a demo user's device shows.
func (tg *target) totp(t *testing.T) string {
	t.Helper()
	code, err := totp.GenerateCode(totpSecret, tg.now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// parts reads header and claims of a token without checking it.
func parts(t *testing.T, raw string) (header, claims map[string]any) {
	t.Helper()
	split := strings.Split(raw, ".")
	if len(split) != 3 {
		t.Fatalf("no token: %q", raw)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(split[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func claimsOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	_, claims := parts(t, raw)
	return claims
}

// authorization is a good authorization request, with changes.
func authorization(client string, pairs ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return values(url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"state-1"}, "nonce": {"nonce-1"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}, pairs...)
}

// exchange turns a code into tokens.
func (tg *target) exchange(t *testing.T, client, code string, pairs ...string) answer {
	t.Helper()
	form := values(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}, pairs...)
	return send(t, http.DefaultClient, request(t, http.MethodPost, tg.endpoint("token"), form))
}
