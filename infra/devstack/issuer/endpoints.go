package issuer

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// discovery is the provider metadata (OpenID Connect Discovery §3, RFC 8414); it names
// only what is served.
func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	at := i.issuer + "/protocol/openid-connect"
	auth := []string{"client_secret_basic", "client_secret_post"}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         i.issuer,
		"authorization_endpoint":                         at + "/auth",
		"token_endpoint":                                 at + "/token",
		"introspection_endpoint":                         at + "/token/introspect",
		"userinfo_endpoint":                              at + "/userinfo",
		"end_session_endpoint":                           at + "/logout",
		"jwks_uri":                                       at + "/certs",
		"revocation_endpoint":                            at + "/revoke",
		"grant_types_supported":                          []string{"authorization_code", "client_credentials", "password", "refresh_token"},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "fragment"},
		"subject_types_supported":                        []string{"public"},
		"prompt_values_supported":                        []string{"none", "login"},
		"acr_values_supported":                           []string{"1", "2"},
		"scopes_supported":                               []string{"openid", "basic", "acr", "profile", "email", "roles", "web-origins", "organization"},
		"claim_types_supported":                          []string{"normal"},
		"claims_supported":                               []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "name", "given_name", "family_name", "preferred_username", "email", "acr", "azp", "nonce"},
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          append([]string{"none"}, auth...),
		"revocation_endpoint_auth_methods_supported":     append([]string{"none"}, auth...),
		"introspection_endpoint_auth_methods_supported":  auth,
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
	})
}

func (i *Issuer) certs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	writeJSON(w, http.StatusOK, i.keys.public())
}

// accessToken is what the endpoints here read of an access token.
type accessToken struct {
	Type    string `json:"typ"`
	ID      string `json:"jti"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Client  string `json:"azp"`
	Session string `json:"sid"`
	Scope   string `json:"scope"`
	Expiry  int64  `json:"exp"`
}

// openAccess reads an access token that is still good: signed here, neither run out
// nor revoked, and its session not ended.
func (i *Issuer) openAccess(raw string) (*accessToken, bool) {
	var t accessToken
	if i.keys.open(raw, false, &t) != nil || t.Type != "Bearer" || t.Issuer != i.issuer || i.now().Unix() >= t.Expiry {
		return nil, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, revoked := i.revoked[t.ID]; revoked {
		return nil, false
	}
	return &t, t.Session == "" || i.alive(t.Session) != nil
}

func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	kind, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t, ok := (*accessToken)(nil), false
	if strings.EqualFold(kind, "Bearer") {
		t, ok = i.openAccess(raw)
	}
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tenantry", error="invalid_token", error_description="Token verification failed"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if !slices.Contains(strings.Fields(t.Scope), "openid") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tenantry", error="insufficient_scope", error_description="Missing openid scope"`)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.alive(t.Session)
	c := i.realm.Client(t.Client)
	if s == nil || c == nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	granted, refused := grantScope(c, t.Scope)
	if refused != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	claims := i.profileClaims(granted, s.user)
	claims["sub"] = t.Subject
	writeJSON(w, http.StatusOK, claims)
}

// introspect is RFC 7662, for confidential clients. As at Keycloak, a client learns
// nothing of a token that is not for it.
func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	form, c, refused := i.clientForm(r)
	if refused != nil {
		writeError(w, r, refused)
		return
	}
	if c.Public {
		writeError(w, r, &oauthError{http.StatusForbidden, "invalid_request", "Client not allowed."})
		return
	}
	noStore(w)
	t, ok := i.openAccess(form.Get("token"))
	claims := map[string]any{}
	if ok {
		ok = i.keys.open(form.Get("token"), false, &claims) == nil && (t.Client == c.ID || names(claims["aud"], c.ID))
	}
	if !ok {
		writeJSON(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	claims["active"] = true
	claims["client_id"] = t.Client
	claims["token_type"] = "Bearer"
	if name, ok := claims["preferred_username"]; ok {
		claims["username"] = name
	}
	writeJSON(w, http.StatusOK, claims)
}

func names(aud any, client string) bool {
	list, _ := aud.([]any)
	return aud == any(client) || slices.Contains(list, any(client))
}

// revoke is RFC 7009: a refresh token takes its session along.
func (i *Issuer) revoke(w http.ResponseWriter, r *http.Request) {
	form, c, refused := i.clientForm(r)
	if refused != nil {
		writeError(w, r, refused)
		return
	}
	raw := form.Get("token")
	if raw == "" {
		writeError(w, r, badRequest("invalid_request", "Token not provided"))
		return
	}
	noStore(w)
	if t, refused := i.openRefresh(raw); refused == nil {
		if t.Client != c.ID {
			writeError(w, r, badRequest("invalid_token", "Unmatching clients"))
			return
		}
		i.mu.Lock()
		if s := i.sessionOf(t); s != nil {
			i.end(s)
		}
		i.mu.Unlock()
	} else if t, ok := i.openAccess(raw); ok {
		if t.Client != c.ID {
			writeError(w, r, badRequest("invalid_token", "Unmatching clients"))
			return
		}
		i.mu.Lock()
		i.revoked[t.ID] = time.Unix(t.Expiry, 0)
		i.mu.Unlock()
	}
	// An unknown token is as good as revoked (RFC 7009 §2.2).
	w.WriteHeader(http.StatusOK)
}
