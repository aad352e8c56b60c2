package issuer

import (
	"net/http"

	"encore.app/infra/keycloak/realm"
)

const (
	sessionCookie = "tenantry_issuer_session"
	browserCookie = "tenantry_issuer_browser" // ties a page to the browser that got it
	maxPending    = 10_000
)

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func (i *Issuer) setCookie(w http.ResponseWriter, name, value string) {
	c := &http.Cookie{
		Name: name, Value: value, Path: i.path + "/", HttpOnly: true, Secure: i.secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// hold keeps p until its page comes back and returns its name. It needs i.mu.
func (i *Issuer) hold(w http.ResponseWriter, r *http.Request, p *pending) string {
	now := i.now()
	i.sweep(now)
	if len(i.pending) >= maxPending {
		clear(i.pending) // nobody has that many pages open
	}
	p.browser = cookieOf(r, browserCookie)
	if len(p.browser) != len(randomID()) {
		p.browser = randomID()
		i.setCookie(w, browserCookie, p.browser)
	}
	p.expires = now.Add(realm.Seconds(i.realm.LoginLifespan))
	id := randomID()
	i.pending[id] = p
	return id
}

// release finds what a page belongs to, if the browser that got it sends it back from
// a page of ours. Whatever comes of it, the page cannot be sent again. It needs i.mu.
func (i *Issuer) release(r *http.Request) *pending {
	id := r.PostForm.Get("tx")
	p := i.pending[id]
	if p == nil || i.now().After(p.expires) || !sameText(p.browser, cookieOf(r, browserCookie)) {
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return nil
	}
	delete(i.pending, id)
	return p
}

// signInPage shows the form that is due: user and password, or the one-time code for
// someone whose password is known. It needs i.mu.
func (i *Issuer) signInPage(w http.ResponseWriter, r *http.Request, p *pending, message string) {
	id := i.hold(w, r, p)
	status := http.StatusOK
	if message != "" {
		status = http.StatusUnauthorized
	}
	page := pageData{
		Title: "Sign in to " + i.realm.DisplayName, Message: message, Transaction: id,
		Action: i.path + "/login-actions/authenticate", Kind: "password", Username: p.hint,
	}
	if p.user != nil {
		page.Kind, page.Username = "otp", p.user.Username
	}
	render(w, status, originOf(p.redirectURI), page)
}

// signIn takes the form back.
func (i *Issuer) signIn(w http.ResponseWriter, r *http.Request) {
	if _, refused := readForm(r); refused != nil {
		i.errorPage(w, refused.status, "The request cannot be read.")
		return
	}
	i.mu.Lock()
	p := i.release(r)
	i.mu.Unlock()
	if p == nil || p.client == nil {
		i.errorPage(w, http.StatusBadRequest, "This page has expired or belongs to another browser. Start again from the application.")
		return
	}

	level := 2
	if p.user == nil {
		who, refused := i.checkCredentials(r.PostForm.Get("username"), r.PostForm.Get("password"), "")
		if refused != nil {
			p.hint = r.PostForm.Get("username")
			i.again(w, r, p, "Invalid username or password.")
			return
		}
		p.user, level = who.user, 1
		if p.level > level {
			i.again(w, r, p, "")
			return
		}
	} else if refused := i.checkOTP(p.user, r.PostForm.Get("otp")); refused != nil {
		i.again(w, r, p, "Invalid authenticator code.")
		return
	}

	i.mu.Lock()
	defer i.mu.Unlock()
	if len(p.user.RequiredActions) > 0 { // Keycloak would walk through them; here are no pages for it
		i.errorPage(w, http.StatusForbidden, "Account is not fully set up.")
		return
	}
	s := i.steppedUp(p)
	switch {
	case s == nil && p.session != nil: // the password was shown to a session that has ended since
		i.errorPage(w, http.StatusBadRequest, "You have been signed out. Start again from the application.")
		return
	case s == nil:
		s = i.newSession(p.user, level)
	}
	// A new cookie at every sign-in: one that was planted before is worth nothing.
	s.cookie = randomID()
	i.setCookie(w, sessionCookie, s.cookie)
	i.log.Info("signed in", "user", p.user.ID, "client", p.client.ID, "level", level)
	i.sendCode(w, r, p, s)
}

func (i *Issuer) again(w http.ResponseWriter, r *http.Request, p *pending, message string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signInPage(w, r, p, message)
}

// steppedUp raises the browser's session to level 2, nil if there is none. It needs i.mu.
func (i *Issuer) steppedUp(p *pending) *session {
	if p.session == nil {
		return nil
	}
	s := i.alive(p.session.id)
	if s != nil {
		s.level, s.authTime = 2, i.now()
	}
	return s
}
