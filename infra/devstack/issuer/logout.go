package issuer

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"encore.app/infra/keycloak/realm"
)

// logout is RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0). Keycloak's
// older form, a POST with a client's refresh token, ends that session with a 204.
func (i *Issuer) logout(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.errorPage(w, http.StatusBadRequest, "The request cannot be read.")
		return
	}
	form := r.Form
	if r.Method == http.MethodPost && form.Get("refresh_token") != "" {
		i.logoutByToken(w, r)
		return
	}
	c := i.realm.Client(form.Get("client_id"))
	var hint accessToken
	if raw := form.Get("id_token_hint"); raw != "" {
		// Run out or not, it says which session is meant.
		if i.keys.open(raw, false, &hint) != nil || hint.Type != "ID" || hint.Issuer != i.issuer || c != nil && c.ID != hint.Client {
			i.errorPage(w, http.StatusBadRequest, "Invalid parameter: id_token_hint")
			return
		}
		c = i.realm.Client(hint.Client)
	}
	target := form.Get("post_logout_redirect_uri")
	if target != "" && (c == nil || !slices.Contains(postLogoutURIs(c), target)) {
		i.errorPage(w, http.StatusBadRequest, "Invalid redirect uri")
		return
	}
	p := &pending{redirectURI: target, state: form.Get("state")}

	i.mu.Lock()
	defer i.mu.Unlock()
	known := i.sessionByCookie(cookieOf(r, sessionCookie))
	if hint.Session != "" {
		if s := i.sessions[hint.Session]; s != nil {
			i.end(s)
		}
		if known != nil && known.id == hint.Session {
			i.setCookie(w, sessionCookie, "")
		}
		i.signedOut(w, r, p)
		return
	}
	if known == nil {
		i.signedOut(w, r, p)
		return
	}
	// Without a hint, any page could have sent the browser here: ask.
	p.session = known
	id := i.hold(w, r, p)
	render(w, http.StatusOK, originOf(target), pageData{
		Kind: "confirm", Title: "Sign out of " + i.realm.DisplayName + "?",
		Action: i.path + "/protocol/openid-connect/logout/logout-confirm", Transaction: id,
	})
}

func (i *Issuer) confirmLogout(w http.ResponseWriter, r *http.Request) {
	if _, refused := readForm(r); refused != nil {
		i.errorPage(w, refused.status, "The request cannot be read.")
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.release(r)
	if p == nil || p.client != nil || p.session == nil {
		i.errorPage(w, http.StatusBadRequest, "This page has expired or belongs to another browser.")
		return
	}
	i.end(p.session)
	i.setCookie(w, sessionCookie, "")
	i.signedOut(w, r, p)
}

func (i *Issuer) signedOut(w http.ResponseWriter, r *http.Request, p *pending) {
	if p.redirectURI == "" {
		render(w, http.StatusOK, "", pageData{Kind: "message", Title: "You are signed out"})
		return
	}
	target := p.redirectURI
	if p.state != "" {
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		target += separator + url.Values{"state": {p.state}}.Encode()
	}
	noStore(w)
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (i *Issuer) logoutByToken(w http.ResponseWriter, r *http.Request) {
	form, c, refused := i.clientForm(r)
	if refused != nil {
		writeError(w, r, refused)
		return
	}
	t, refused := i.openRefresh(form.Get("refresh_token"))
	if refused != nil {
		writeError(w, r, refused)
		return
	}
	if t.Client != c.ID {
		writeError(w, r, badRequest("invalid_grant", "Invalid refresh token. Token client and authorized client don't match"))
		return
	}
	i.mu.Lock()
	if s := i.sessionOf(t); s != nil {
		i.end(s)
	}
	i.mu.Unlock()
	noStore(w)
	w.WriteHeader(http.StatusNoContent)
}

// postLogoutURIs lists where a client may be sent after a sign-out; "+" stands for its
// redirects.
func postLogoutURIs(c *realm.Client) []string {
	var uris []string
	for _, uri := range strings.Split(c.Attributes["post.logout.redirect.uris"], "##") {
		if uri == "+" {
			uris = append(uris, c.RedirectURIs...)
		} else if uri != "" {
			uris = append(uris, uri)
		}
	}
	return uris
}

func originOf(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
