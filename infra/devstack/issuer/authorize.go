package issuer

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"encore.app/infra/keycloak/realm"
)

// pending is an authorization request, or a sign-out, that waits for its user.
type pending struct {
	browser     string // the cookie that its page was shown with
	expires     time.Time
	client      *realm.Client
	redirectURI string
	fragment    bool // answer in the fragment instead of the query
	state       string
	nonce       string
	scope       scope
	challenge   string
	level       int // what the sign-in must reach
	hint        string
	user        *realm.User // set once the password was right, or by the browser's session
	session     *session    // the browser's session that is stepped up or signed out
}

// code is an authorization code.
type code struct {
	client      *realm.Client
	redirectURI string
	scope       scope
	challenge   string
	nonce       string
	session     *session
	expires     time.Time
	used        bool
}

// authorize is the authorization endpoint: the code flow with PKCE.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.errorPage(w, http.StatusBadRequest, "The request cannot be read.")
		return
	}
	form := r.Form
	// Until client and redirect are known to belong together, nothing is sent there.
	c := i.realm.Client(form.Get("client_id"))
	if c == nil {
		i.errorPage(w, http.StatusBadRequest, "Client not found.")
		return
	}
	if checkRepeated(form) != nil || !slices.Contains(c.RedirectURIs, form.Get("redirect_uri")) {
		i.errorPage(w, http.StatusBadRequest, "Invalid parameter: redirect_uri")
		return
	}
	p := &pending{
		client: c, redirectURI: form.Get("redirect_uri"), state: form.Get("state"),
		nonce: form.Get("nonce"), challenge: form.Get("code_challenge"), hint: form.Get("login_hint"),
		fragment: form.Get("response_mode") == "fragment",
	}
	refused := i.checkAuthorization(p, form)
	if refused != nil {
		i.redirect(w, r, p, url.Values{"error": {refused.Code}, "error_description": {refused.Description}})
		return
	}
	prompt := strings.Fields(form.Get("prompt"))

	i.mu.Lock()
	defer i.mu.Unlock()
	known := i.sessionByCookie(cookieOf(r, sessionCookie))
	if known != nil && (slices.Contains(prompt, "login") || tooOld(form.Get("max_age"), i.now().Sub(known.authTime))) {
		known = nil
	}
	if known != nil && known.level >= p.level {
		i.sendCode(w, r, p, known)
		return
	}
	if slices.Contains(prompt, "none") {
		i.redirect(w, r, p, url.Values{"error": {"login_required"}})
		return
	}
	if known != nil { // the password was shown before; only the second step is missing
		p.user, p.session = known.user, known
	}
	i.signInPage(w, r, p, "")
}

func tooOld(maxAge string, age time.Duration) bool {
	seconds, err := strconv.Atoi(maxAge)
	return err == nil && age >= realm.Seconds(seconds)
}

// checkAuthorization refuses what may be told to the client through its redirect.
func (i *Issuer) checkAuthorization(p *pending, form url.Values) *oauthError {
	c := p.client
	switch {
	case form.Get("request") != "":
		return badRequest("request_not_supported", "")
	case form.Get("request_uri") != "":
		return badRequest("request_uri_not_supported", "")
	case form.Get("response_type") == "":
		return badRequest("invalid_request", "Missing parameter: response_type")
	case form.Get("response_type") != "code":
		return badRequest("unsupported_response_type", "")
	case !c.StandardFlow:
		return badRequest("unauthorized_client", "Client is not allowed to initiate browser login with given response_type. Standard flow is disabled for the client.")
	case !slices.Contains([]string{"", "query", "fragment"}, form.Get("response_mode")):
		return badRequest("invalid_request", "Invalid parameter: response_mode")
	}
	method := form.Get("code_challenge_method")
	if required := c.Attributes["pkce.code.challenge.method"]; required != "" || p.challenge != "" || method != "" {
		switch {
		case method == "":
			return badRequest("invalid_request", "Missing parameter: code_challenge_method")
		case method != "S256":
			return badRequest("invalid_request", "Invalid parameter: code challenge method is not matching the configured one")
		case p.challenge == "":
			return badRequest("invalid_request", "Missing parameter: code_challenge")
		case !verifierShape.MatchString(p.challenge):
			return badRequest("invalid_request", "Invalid parameter: code_challenge")
		}
	}
	p.level = max(1, firstLevel(form.Get("acr_values")), firstLevel(c.Attributes["minimum.acr.value"]))
	if form.Get("acr_values") == "" {
		p.level = max(p.level, firstLevel(c.Attributes["default.acr.values"]))
	}
	var refused *oauthError
	if p.scope, refused = grantScope(c, form.Get("scope")); refused == nil {
		refused = i.checkOrganizations(form.Get("scope"))
	}
	return refused
}

// firstLevel is the first level of a list of acr values that we know, 0 if there is none.
func firstLevel(values string) int {
	for _, value := range strings.Fields(values) {
		if value == "1" || value == "2" {
			return int(value[0] - '0')
		}
	}
	return 0
}

// sendCode ends a sign-in. It needs i.mu.
func (i *Issuer) sendCode(w http.ResponseWriter, r *http.Request, p *pending, s *session) {
	id := randomID()
	i.codes[id] = &code{
		client: p.client, redirectURI: p.redirectURI, scope: p.scope, challenge: p.challenge, nonce: p.nonce,
		session: s, expires: i.now().Add(realm.Seconds(i.realm.AccessCodeLifespan)),
	}
	i.redirect(w, r, p, url.Values{"code": {id}, "session_state": {s.id}})
}

// redirect answers an authorization request; iss guards against mix-up (RFC 9207).
func (i *Issuer) redirect(w http.ResponseWriter, r *http.Request, p *pending, answer url.Values) {
	if answer.Get("error_description") == "" {
		answer.Del("error_description")
	}
	if p.state != "" {
		answer.Set("state", p.state)
	}
	answer.Set("iss", i.issuer)
	noStore(w)
	separator := "?"
	if p.fragment {
		separator = "#"
	} else if strings.Contains(p.redirectURI, "?") {
		separator = "&"
	}
	http.Redirect(w, r, p.redirectURI+separator+answer.Encode(), http.StatusSeeOther)
}
