package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"encore.app/infra/keycloak/realm"
)

// token is the token endpoint.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	form, c, refused := i.clientForm(r)
	if refused != nil {
		writeError(w, r, refused)
		return
	}
	var answer *tokenAnswer
	switch form.Get("grant_type") {
	case "password":
		answer, refused = i.passwordGrant(c, form)
	case "refresh_token":
		answer, refused = i.refreshGrant(c, form)
	case "client_credentials":
		answer, refused = i.clientGrant(c, form)
	case "authorization_code":
		answer, refused = i.codeGrant(c, form)
	case "":
		refused = badRequest("invalid_request", "Missing form parameter: grant_type")
	default:
		refused = badRequest("unsupported_grant_type", "Unsupported grant_type")
	}
	if refused != nil {
		writeError(w, r, refused)
		return
	}
	noStore(w)
	writeJSON(w, http.StatusOK, answer)
}

// passwordGrant is the direct grant. A right one-time code beside the password gives acr 2.
func (i *Issuer) passwordGrant(c *realm.Client, form url.Values) (*tokenAnswer, *oauthError) {
	if !c.DirectAccessGrants {
		return nil, badRequest("unauthorized_client", "Client not allowed for direct access grants")
	}
	if form.Get("username") == "" {
		return nil, unauthorized("invalid_request", "Missing parameter: username")
	}
	s, refused := grantScope(c, form.Get("scope"))
	if refused == nil {
		refused = i.checkOrganizations(form.Get("scope"))
	}
	if refused != nil {
		return nil, refused
	}
	who, refused := i.checkCredentials(form.Get("username"), form.Get("password"), form.Get("totp"))
	if refused != nil {
		return nil, refused
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(who.user.RequiredActions) > 0 {
		return nil, badRequest("invalid_grant", "Account is not fully set up")
	}
	session := i.newSession(who.user, who.level)
	return i.answer(grant{client: c, user: who.user, scope: s, session: session})
}

// answer needs i.mu.
func (i *Issuer) answer(g grant) (*tokenAnswer, *oauthError) {
	answer, err := i.issue(g)
	if err != nil {
		i.log.Error("tokens could not be signed", "client", g.client.ID, "err", err)
		return nil, errServer
	}
	i.log.Info("tokens issued", "client", g.client.ID, "user", g.user.ID)
	return answer, nil
}

func (i *Issuer) clientGrant(c *realm.Client, form url.Values) (*tokenAnswer, *oauthError) {
	if c.Public {
		return nil, unauthorized("unauthorized_client", "Public client not allowed to retrieve service account")
	}
	if !c.ServiceAccounts {
		return nil, unauthorized("unauthorized_client", "Client not enabled to retrieve service account")
	}
	s, refused := grantScope(c, form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, u := range i.realm.Users {
		if u.ServiceAccountClient == c.ID {
			return i.answer(grant{client: c, user: u, scope: s})
		}
	}
	return i.answer(grant{client: c, user: &realm.User{Username: "service-account-" + c.ID, Enabled: true}, scope: s})
}

// refreshed is what a refresh token carries.
type refreshed struct {
	Type     string `json:"typ"`
	ID       string `json:"jti"`
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Client   string `json:"azp"`
	Session  string `json:"sid"`
	Scope    string `json:"scope"`
	ACR      string `json:"acr"`
	Nonce    string `json:"nonce"`
	Expiry   int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	AuthTime int64  `json:"auth_time"`
	Started  int64  `json:"started"`
}

var errRefresh = badRequest("invalid_grant", "Invalid refresh token")

// openRefresh reads a refresh token of ours that has not run out.
func (i *Issuer) openRefresh(raw string) (*refreshed, *oauthError) {
	var t refreshed
	if err := i.keys.open(raw, true, &t); err != nil || t.Type != "Refresh" || t.Issuer != i.issuer {
		return nil, errRefresh
	}
	if i.now().Unix() >= t.Expiry {
		return nil, badRequest("invalid_grant", "Token is not active")
	}
	return &t, nil
}

func (i *Issuer) refreshGrant(c *realm.Client, form url.Values) (*tokenAnswer, *oauthError) {
	if form.Get("refresh_token") == "" {
		return nil, badRequest("invalid_request", "No refresh token")
	}
	t, refused := i.openRefresh(form.Get("refresh_token"))
	if refused != nil {
		return nil, refused
	}
	if t.Client != c.ID {
		return nil, badRequest("invalid_grant", "Invalid refresh token. Token client and authorized client don't match")
	}
	s, refused := grantScope(c, t.Scope)
	if refused != nil {
		return nil, refused
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	session := i.sessionOf(t)
	if session == nil {
		return nil, badRequest("invalid_grant", "Session not active")
	}
	switch current := session.current[c.ID]; {
	case current == "" || current == clientEnded:
		return nil, badRequest("invalid_grant", "Session doesn't have required client")
	case current != t.ID && i.realm.RevokeRefreshToken:
		// Somebody else holds the newer one: neither gets any further (RFC 9700 §4.14).
		session.current[c.ID] = clientEnded
		return nil, badRequest("invalid_grant", "Maximum allowed refresh token reuse exceeded")
	}
	return i.answer(grant{client: c, user: session.user, scope: s, session: session, nonce: t.Nonce})
}

// sessionOf finds the session of a refresh token. One of the last run of this issuer is
// taken up again, which is only possible where a key file kept the secret that its
// tokens are signed with. It needs i.mu.
func (i *Issuer) sessionOf(t *refreshed) *session {
	if t.IssuedAt < i.started.Unix() {
		i.resume(t)
	}
	return i.alive(t.Session)
}

// resume needs i.mu.
func (i *Issuer) resume(t *refreshed) {
	s := i.sessions[t.Session]
	if s == nil {
		at := slices.IndexFunc(i.realm.Users, func(u *realm.User) bool { return subject(u) == t.Subject })
		if at < 0 {
			return
		}
		level, _ := strconv.Atoi(t.ACR)
		s = &session{
			id: t.Session, user: i.realm.Users[at], level: level, resumed: true, current: map[string]string{},
			authTime: time.Unix(t.AuthTime, 0), started: time.Unix(t.Started, 0), lastUsed: time.Unix(t.IssuedAt, 0),
		}
		i.sessions[t.Session] = s
	}
	if s.resumed && s.current[t.Client] == "" {
		s.current[t.Client] = t.ID
	}
}

// verifierShape is RFC 7636 §4.1; a challenge has the same alphabet and lengths.
var verifierShape = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

func (i *Issuer) codeGrant(c *realm.Client, form url.Values) (*tokenAnswer, *oauthError) {
	if form.Get("code") == "" {
		return nil, badRequest("invalid_request", "Missing parameter: code")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	given := i.codes[form.Get("code")]
	if given == nil || given.used || i.now().After(given.expires) {
		if given != nil && given.used {
			// A code shown twice was stolen: what it bought ends (RFC 6749 §4.1.2).
			i.end(given.session)
		}
		return nil, badRequest("invalid_grant", "Code not valid")
	}
	given.used = true
	if given.client != c {
		return nil, badRequest("invalid_grant", "Auth error")
	}
	if form.Get("redirect_uri") != given.redirectURI {
		return nil, badRequest("invalid_grant", "Incorrect redirect_uri")
	}
	switch verifier := form.Get("code_verifier"); {
	case given.challenge == "" && verifier != "":
		return nil, badRequest("invalid_grant", "PKCE code verifier was not expected")
	case given.challenge == "":
	case verifier == "":
		return nil, badRequest("invalid_grant", "PKCE code verifier not specified")
	case !verifierShape.MatchString(verifier):
		return nil, badRequest("invalid_grant", "PKCE verification failed: Invalid code verifier")
	case !sameText(challengeOf(verifier), given.challenge):
		return nil, badRequest("invalid_grant", "PKCE verification failed: Code mismatch")
	}
	session := i.alive(given.session.id)
	if session == nil {
		return nil, badRequest("invalid_grant", "User session not found")
	}
	return i.answer(grant{client: c, user: session.user, scope: given.scope, session: session, nonce: given.nonce})
}

// challengeOf is the S256 transformation (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
