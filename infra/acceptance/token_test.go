//go:build acceptance

package acceptance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestAMissingOrUnreadableTokenIs401(t *testing.T) {
	t.Parallel()
	good := adaApp.token(t)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct{ header, reason string }{
		"none":          {"", "unauthenticated"},
		"no scheme":     {good, "token_malformed"},
		"other scheme":  {"Basic YTpi", "token_malformed"},
		"garbage":       {"Bearer garbage", "token_malformed"},
		"two parts":     {"Bearer " + parts[0] + "." + parts[1], "token_malformed"},
		"four parts":    {"Bearer " + good + ".x", "token_malformed"},
		"alg none":      {"Bearer " + withHeader(t, parts, map[string]any{"alg": "none"}) + "." + parts[1] + ".", "bad_signature"},
		"alg HS256":     {"Bearer " + withHeader(t, parts, map[string]any{"alg": "HS256"}) + "." + parts[1] + "." + parts[2], "bad_signature"},
		"bad signature": {"Bearer " + parts[0] + "." + parts[1] + "." + flip(parts[2]), "bad_signature"},
		"expired":       {"Bearer " + withClaims(t, parts, map[string]any{"exp": 1_600_000_000}), "token_expired"},
		"other issuer":  {"Bearer " + withClaims(t, parts, map[string]any{"iss": "https://elsewhere.example"}), "wrong_issuer"},
		"no audience":   {"Bearer " + withClaims(t, parts, map[string]any{"aud": "account"}), "wrong_audience"},
		"ID token":      {"Bearer " + withClaims(t, parts, map[string]any{"typ": "ID"}), "token_type"},
		"huge":          {"Bearer " + strings.Repeat("a", 20_000), "token_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := call(t, "", "GET", "/api/v1/me", nil, func(r *http.Request) {
				r.Header.Set("X-Request-ID", "acceptance-token")
				if c.header != "" {
					r.Header.Set("Authorization", c.header)
				}
			})
			f := wantFailure(t, r, http.StatusUnauthorized, c.reason)
			if f.Details.RequestID != "acceptance-token" {
				t.Errorf("request_id %q", f.Details.RequestID)
			}
		})
	}
}

func TestATokenOpensOneNamespace(t *testing.T) {
	t.Parallel()
	wantFailure(t, call(t, adaApp.token(t), "GET", "/api/v1/org/"+acme, nil), http.StatusForbidden, "wrong_audience")
	wantFailure(t, call(t, adaOrg.token(t), "GET", "/api/v1/app/orgs/"+acme+"/projects", nil), http.StatusForbidden, "wrong_audience")
	wantFailure(t, call(t, adaOrg.token(t), "GET", "/api/v1/admin/orgs", nil), http.StatusForbidden, "wrong_audience")
	wantFailure(t, call(t, root.token(t), "GET", "/api/v1/org/"+acme, nil), http.StatusForbidden, "wrong_audience")
	// A member of no platform role has nothing to do in the administrators' namespace.
	asAdmin := caller{user: "ada@acme.test", client: "admin-console"}
	wantFailure(t, call(t, asAdmin.token(t), "GET", "/api/v1/admin/orgs", nil), http.StatusForbidden, "policy_denied")
}

func withHeader(t *testing.T, parts []string, header map[string]any) string {
	t.Helper()
	return edited(t, parts[0], header)
}

// withClaims changes claims and leaves the signature: what can be told without a key is told first.
func withClaims(t *testing.T, parts []string, claims map[string]any) string {
	t.Helper()
	return parts[0] + "." + edited(t, parts[1], claims) + "." + parts[2]
}

func edited(t *testing.T, part string, changes map[string]any) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for k, v := range changes {
		all[k] = v
	}
	text, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// flip changes the first character, so that every bit of it counts.
func flip(signature string) string {
	if signature[0] == 'A' {
		return "B" + signature[1:]
	}
	return "A" + signature[1:]
}
