package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is a good authorization request with changes; "-" removes a parameter.
func request(client string, changes ...string) url.Values {
	q := url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"state-1"}, "nonce": {"nonce-1"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			q.Del(changes[i])
			continue
		}
		q.Set(changes[i], changes[i+1])
	}
	return q
}

func (b *bench) exchange(t *testing.T, client, code string, changes ...string) answer {
	t.Helper()
	return b.post(t, "/token", append([]string{"grant_type", "authorization_code", "client_id", client, "code", code}, changes...)...)
}

func (b *bench) exchangeWell(t *testing.T, client, code string) answer {
	t.Helper()
	return b.exchange(t, client, code, "redirect_uri", callback, "code_verifier", verifier)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	br := b.browser(t)
	page := br.get(t, protocol+"/auth", request("app"))
	if page.status != http.StatusOK || !page.shows("username") || !page.shows("password") || page.shows("otp") {
		t.Fatalf("%d %s", page.status, page.html)
	}
	csp := page.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || page.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", page.header)
	}
	if strings.Contains(page.html, "<script") || strings.Contains(page.html, "src=") {
		t.Error("the page needs more than itself")
	}
	done := br.submit(t, page, "username", "ada@acme.test", "password", "demo")
	if done.location == nil || !strings.HasPrefix(done.location.String(), callback+"?") ||
		done.param("state") != "state-1" || done.param("iss") != b.URL() || done.param("code") == "" {
		t.Fatalf("%d %v", done.status, done.location)
	}
	a := b.exchangeWell(t, "app", done.param("code"))
	access, id := claimsOf(t, a.text("access_token")), claimsOf(t, a.text("id_token"))
	if access["acr"] != "1" || access["aud"] != "tenantry-app" || id["nonce"] != "nonce-1" || access["nonce"] != nil {
		t.Errorf("access %v\nID %v", access, id)
	}

	// The browser is known now, to other clients as well.
	again := br.get(t, protocol+"/auth", request("org-console", "prompt", "none"))
	b.clock.advance(time.Minute)
	second := claimsOf(t, b.exchangeWell(t, "org-console", again.param("code")).text("access_token"))
	if second["sid"] != access["sid"] || second["aud"] != "tenantry-org" {
		t.Errorf("single sign-on: %v", second)
	}
	for name, q := range map[string]url.Values{"prompt=login": request("app", "prompt", "login"), "max_age": request("app", "max_age", "30")} {
		if v := br.get(t, protocol+"/auth", q); !v.shows("password") {
			t.Errorf("%s: %d %v", name, v.status, v.location)
		}
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	br := b.browser(t)
	first := br.submit(t, br.get(t, protocol+"/auth", request("app")), "username", "ada@acme.test", "password", "demo")
	low := claimsOf(t, b.exchangeWell(t, "app", first.param("code")).text("access_token"))

	if v := br.get(t, protocol+"/auth", request("app", "acr_values", "2", "prompt", "none")); v.param("error") != "login_required" {
		t.Errorf("prompt=none: %v", v.location)
	}
	b.clock.advance(time.Minute)
	page := br.get(t, protocol+"/auth", request("app", "acr_values", "2"))
	if !page.shows("otp") || page.shows("password") {
		t.Fatalf("want only the second step: %s", page.html)
	}
	page = br.submit(t, page, "otp", b.wrongTOTP(t))
	if page.status != http.StatusUnauthorized || !page.shows("otp") {
		t.Fatalf("a wrong code: %d %v", page.status, page.location)
	}
	done := br.submit(t, page, "otp", b.totp(t))
	high := claimsOf(t, b.exchangeWell(t, "app", done.param("code")).text("access_token"))
	if high["acr"] != "2" || high["sid"] != low["sid"] || high["auth_time"].(float64) != low["auth_time"].(float64)+60 {
		t.Errorf("was %v\nis %v", low, high)
	}
}

// A second step is worth nothing once the session that showed the password has ended.
func TestNoStepUpAfterASignOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	br := b.browser(t)
	first := br.submit(t, br.get(t, protocol+"/auth", request("app")), "username", "ada@acme.test", "password", "demo")
	low := b.exchangeWell(t, "app", first.param("code"))
	page := br.get(t, protocol+"/auth", request("app", "acr_values", "2"))
	b.post(t, "/logout", "client_id", "app", "refresh_token", low.text("refresh_token"))
	if v := br.submit(t, page, "otp", b.totp(t)); v.status != http.StatusBadRequest || v.location != nil {
		t.Errorf("%d %v", v.status, v.location)
	}
}

// TestAdminConsoleNeedsTwoSteps, whatever the request asks for.
func TestAdminConsoleNeedsTwoSteps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, acr := range []string{"-", "1", "0", "2"} {
		br := b.browser(t)
		page := br.submit(t, br.get(t, protocol+"/auth", request("admin-console", "acr_values", acr)), "username", "root@tenantry.test", "password", "demo")
		if page.location != nil || !page.shows("otp") {
			t.Fatalf("acr_values %s: %d %v", acr, page.status, page.location)
		}
		done := br.submit(t, page, "otp", b.totp(t))
		if c := claimsOf(t, b.exchangeWell(t, "admin-console", done.param("code")).text("access_token")); c["acr"] != "2" {
			t.Errorf("acr_values %s: %v", acr, c)
		}
	}
}

func TestAuthorizationRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := map[string]struct {
		q    url.Values
		code string
	}{
		"no PKCE":            {request("app", "code_challenge", "-", "code_challenge_method", "-"), "invalid_request"},
		"plain PKCE":         {request("app", "code_challenge_method", "plain"), "invalid_request"},
		"no method":          {request("app", "code_challenge_method", "-"), "invalid_request"},
		"no challenge":       {request("app", "code_challenge", "-"), "invalid_request"},
		"short challenge":    {request("app", "code_challenge", "abc"), "invalid_request"},
		"odd challenge":      {request("app", "code_challenge", strings.Repeat("+", 43)), "invalid_request"},
		"implicit":           {request("app", "response_type", "token"), "unsupported_response_type"},
		"hybrid":             {request("app", "response_type", "code id_token"), "unsupported_response_type"},
		"no response type":   {request("app", "response_type", "-"), "invalid_request"},
		"form post":          {request("app", "response_mode", "form_post"), "invalid_request"},
		"unknown scope":      {request("app", "scope", "openid admin"), "invalid_scope"},
		"request object":     {request("app", "request", "x.y.z"), "request_not_supported"},
		"request by URI":     {request("app", "request_uri", "https://evil.example"), "request_uri_not_supported"},
		"unknown, no prompt": {request("app", "prompt", "none"), "login_required"},
	}
	for name, test := range told {
		v := b.browser(t).get(t, protocol+"/auth", test.q)
		if v.param("error") != test.code || v.param("state") != "state-1" || v.param("code") != "" || !strings.HasPrefix(v.location.String(), callback+"?") {
			t.Errorf("%s: %d %v, want %s", name, v.status, v.location, test.code)
		}
	}
	if v := b.browser(t).get(t, protocol+"/auth", request("app", "prompt", "none", "response_mode", "fragment")); v.location == nil || !strings.Contains(v.location.Fragment, "login_required") {
		t.Errorf("fragment: %v", v.location)
	}
	// Nothing may be sent to an address that is not the client's.
	twice := request("app")
	twice.Add("redirect_uri", "https://evil.example")
	for name, q := range map[string]url.Values{
		"unknown client":    request("nope"),
		"service client":    request("tenantry-provisioner"),
		"no redirect":       request("app", "redirect_uri", "-"),
		"other redirect":    request("app", "redirect_uri", "https://evil.example/callback"),
		"longer redirect":   request("app", "redirect_uri", callback+"/../evil"),
		"redirect + query":  request("app", "redirect_uri", callback+"?x=1"),
		"redirect + slash":  request("app", "redirect_uri", callback+"/"),
		"other port":        request("app", "redirect_uri", "http://127.0.0.1:3001/callback"),
		"repeated redirect": twice,
	} {
		v := b.browser(t).get(t, protocol+"/auth", q)
		if v.status != http.StatusBadRequest || v.location != nil {
			t.Errorf("%s: %d %v", name, v.status, v.location)
		}
	}
}

func TestCodeExchangeRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	newCode := func() string {
		br := b.browser(t)
		v := br.submit(t, br.get(t, protocol+"/auth", request("app")), "username", "ada@acme.test", "password", "demo")
		return v.param("code")
	}
	for name, test := range map[string]struct {
		client string
		fields []string
	}{
		"no verifier":    {"app", []string{"redirect_uri", callback}},
		"wrong verifier": {"app", []string{"redirect_uri", callback, "code_verifier", strings.Repeat("x", 43)}},
		"short verifier": {"app", []string{"redirect_uri", callback, "code_verifier", "x"}},
		"the challenge":  {"app", []string{"redirect_uri", callback, "code_verifier", challenge()}},
		"other client":   {"org-console", []string{"redirect_uri", callback, "code_verifier", verifier}},
		"other redirect": {"app", []string{"redirect_uri", "http://localhost:3000/callback", "code_verifier", verifier}},
		"no redirect":    {"app", []string{"code_verifier", verifier}},
	} {
		code := newCode()
		if a := b.exchange(t, test.client, code, test.fields...); a.text("error") != "invalid_grant" {
			t.Errorf("%s: %+v", name, a)
		}
		if a := b.exchangeWell(t, "app", code); a.text("error") != "invalid_grant" {
			t.Errorf("%s, then well: a code is for one try: %+v", name, a)
		}
	}

	late := newCode()
	b.clock.advance(61 * time.Second)
	if a := b.exchangeWell(t, "app", late); a.text("error") != "invalid_grant" {
		t.Errorf("after a minute: %+v", a)
	}
	stolen := newCode()
	first := b.exchangeWell(t, "app", stolen)
	if first.status != http.StatusOK {
		t.Fatalf("%+v", first)
	}
	b.exchangeWell(t, "app", stolen)
	if a := b.post(t, "/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", first.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("a code shown twice must end what it bought: %+v", a)
	}
}

func TestSignInPageBelongsToItsBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine, other := b.browser(t), b.browser(t)
	page := mine.get(t, protocol+"/auth", request("app"))
	credentials := []string{"username", "ada@acme.test", "password", "demo"}
	if v := other.submit(t, page, credentials...); v.status != http.StatusBadRequest || v.location != nil {
		t.Errorf("a browser without the cookie: %d %v", v.status, v.location)
	}
	other.get(t, protocol+"/auth", request("app"))
	if v := other.submit(t, page, credentials...); v.status != http.StatusBadRequest || v.location != nil {
		t.Errorf("a browser with a cookie of its own: %d %v", v.status, v.location)
	}
	wrong := mine.submit(t, page, "username", `"><script>alert(1)</script>`, "password", "x")
	if wrong.status != http.StatusUnauthorized || strings.Contains(wrong.html, "<script>") {
		t.Errorf("%d %s", wrong.status, wrong.html)
	}
	if v := mine.submit(t, page, credentials...); v.status != http.StatusBadRequest {
		t.Errorf("a page sent back twice: %d %v", v.status, v.location)
	}
	if v := mine.submit(t, wrong, credentials...); v.param("code") == "" {
		t.Errorf("the new page: %d %v", v.status, v.location)
	}
	stale := mine.get(t, protocol+"/auth", request("app", "prompt", "login"))
	b.clock.advance(31 * time.Minute)
	if v := mine.submit(t, stale, credentials...); v.status != http.StatusBadRequest {
		t.Errorf("a page half an hour old: %d %v", v.status, v.location)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	signIn := func() (*browser, answer) {
		br := b.browser(t)
		v := br.submit(t, br.get(t, protocol+"/auth", request("app")), "username", "ada@acme.test", "password", "demo")
		return br, b.exchangeWell(t, "app", v.param("code"))
	}
	over := func(a answer) bool {
		return b.userinfo(t, a.text("access_token")).status == http.StatusUnauthorized &&
			b.post(t, "/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", a.text("refresh_token")).text("error") == "invalid_grant"
	}

	br, a := signIn()
	if v := br.get(t, protocol+"/logout", url.Values{"id_token_hint": {a.text("id_token")}, "post_logout_redirect_uri": {"https://evil.example"}}); v.status != http.StatusBadRequest || v.location != nil {
		t.Errorf("foreign target: %d %v", v.status, v.location)
	}
	for name, hint := range map[string]string{"access token": a.text("access_token"), "garbage": "x.y.z"} {
		if v := br.get(t, protocol+"/logout", url.Values{"id_token_hint": {hint}}); v.status != http.StatusBadRequest {
			t.Errorf("%s as hint: %d", name, v.status)
		}
	}
	v := br.get(t, protocol+"/logout", url.Values{"id_token_hint": {a.text("id_token")}, "post_logout_redirect_uri": {callback}, "state": {"bye"}})
	if v.location == nil || v.location.String() != callback+"?state=bye" || !over(a) {
		t.Errorf("with a hint: %d %v", v.status, v.location)
	}
	if v := br.get(t, protocol+"/auth", request("app", "prompt", "none")); v.param("error") != "login_required" {
		t.Errorf("the browser is still known: %v", v.location)
	}

	br, a = signIn()
	page := br.get(t, protocol+"/logout", nil)
	if page.status != http.StatusOK || b.userinfo(t, a.text("access_token")).status != http.StatusOK {
		t.Fatalf("without a hint it must ask first: %d", page.status)
	}
	if v := b.browser(t).submit(t, page); v.status != http.StatusBadRequest {
		t.Errorf("another browser's answer: %d", v.status)
	}
	if v := br.submit(t, page); v.status != http.StatusOK || !over(a) {
		t.Errorf("confirmed: %d", v.status)
	}

	_, a = signIn()
	if got := b.post(t, "/logout", "client_id", "app", "refresh_token", a.text("refresh_token")); got.status != http.StatusNoContent || !over(a) {
		t.Errorf("by refresh token: %+v", got)
	}
}
