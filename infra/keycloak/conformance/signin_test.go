package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

var ada = []string{"username", "ada@acme.test", "password", "demo"}

func TestCodeWithPKCE(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		// Wrong passwords are counted: their owner signs in nowhere else in these tests.
		alan := []string{"username", "alan@acme.test", "password", "demo"}
		b := tg.browser()
		page := b.get(t, "auth", authorization("app"))
		if page.status != http.StatusOK || !page.shows("username") || page.shows("password") == tg.identityFirst || page.shows("otp") {
			t.Fatalf("%d %s", page.status, page.raw)
		}
		if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors") || !strings.Contains(page.header.Get("Cache-Control"), "no-store") {
			t.Errorf("headers %v", page.header)
		}
		wrong := b.submit(t, page, "username", "alan@acme.test", "password", "nope")
		if tg.identityFirst {
			wrong = b.submit(t, wrong, "password", "nope")
		}
		if wrong.location != nil || !wrong.shows("password") {
			t.Fatalf("a wrong password: %d %v", wrong.status, wrong.location)
		}
		tg.counted(t, idOf["alan@acme.test"])
		done := b.signIn(t, wrong, alan...)
		if done.location == nil || !strings.HasPrefix(done.location.String(), callback+"?") || done.param("state") != "state-1" || done.param("iss") != tg.issuer {
			t.Fatalf("%d %v", done.status, done.location)
		}
		a := tg.exchange(t, "app", done.param("code"))
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		access, id := claimsOf(t, a.text("access_token")), claimsOf(t, a.text("id_token"))
		if access["acr"] != "1" || access["aud"] != "tenantry-app" || access["nonce"] != nil || access["auth_time"] == nil {
			t.Errorf("access %v", access)
		}
		if got := texts(access["amr"]); len(got) != 1 || got[0] != "pwd" {
			t.Errorf("amr %v", got)
		}
		if id["nonce"] != "nonce-1" || id["aud"] != "app" || id["typ"] != "ID" || id["at_hash"] == nil || id["sid"] != access["sid"] {
			t.Errorf("ID %v", id)
		}

		// The browser is known now, to other clients as well.
		again := b.get(t, "auth", authorization("org-console", "prompt", "none"))
		second := claimsOf(t, tg.exchange(t, "org-console", again.param("code")).text("access_token"))
		if second["sid"] != access["sid"] || second["aud"] != "tenantry-org" {
			t.Errorf("single sign-on: %v", second)
		}
		if v := b.get(t, "auth", authorization("app", "prompt", "login")); v.location != nil || !v.shows("password") {
			t.Errorf("prompt=login: %d %v", v.status, v.location)
		}
	})
}

func TestCodeIsGoodOnceAndForOne(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		code := func() string {
			b := tg.browser()
			return b.signIn(t, b.get(t, "auth", authorization("app")), ada...).param("code")
		}
		for name, c := range map[string]struct {
			client string
			pairs  []string
		}{
			"no verifier":    {"app", []string{"code_verifier", "-"}},
			"wrong verifier": {"app", []string{"code_verifier", strings.Repeat("x", 43)}},
			"other client":   {"org-console", nil},
			"other redirect": {"app", []string{"redirect_uri", "http://localhost:3000/callback"}},
		} {
			if a := tg.exchange(t, c.client, code(), c.pairs...); a.status != http.StatusBadRequest || a.text("error") != "invalid_grant" {
				t.Errorf("%s: %d %s", name, a.status, a.raw)
			}
		}
		stolen := code()
		first := tg.exchange(t, "app", stolen)
		if first.status != http.StatusOK {
			t.Fatalf("%d %s", first.status, first.raw)
		}
		if a := tg.exchange(t, "app", stolen); a.text("error") != "invalid_grant" {
			t.Errorf("shown twice: %d %s", a.status, a.raw)
		}
		if a := tg.refresh(t, "app", first.text("refresh_token")); a.text("error") != "invalid_grant" {
			t.Errorf("a code shown twice must end what it bought: %d %s", a.status, a.raw)
		}
	})
}

func TestAuthorizationRefused(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		for name, c := range map[string]struct {
			query url.Values
			code  string
		}{
			"no PKCE":          {authorization("app", "code_challenge", "-", "code_challenge_method", "-"), "invalid_request"},
			"plain PKCE":       {authorization("app", "code_challenge_method", "plain"), "invalid_request"},
			"short challenge":  {authorization("app", "code_challenge", "abc"), "invalid_request"},
			"implicit":         {authorization("app", "response_type", "token"), tg.implicitError},
			"hybrid":           {authorization("app", "response_type", "code id_token"), tg.implicitError},
			"no response type": {authorization("app", "response_type", "-"), "invalid_request"},
			"unknown scope":    {authorization("app", "scope", "openid admin"), "invalid_scope"},
			"nobody, silently": {authorization("app", "prompt", "none"), "login_required"},
		} {
			v := tg.browser().get(t, "auth", c.query)
			if v.location == nil || !strings.HasPrefix(v.location.String(), callback) {
				t.Errorf("%s: %d %v", name, v.status, v.location)
				continue
			}
			told := v.location.Query()
			if v.location.Fragment != "" { // where the refused response type would have answered
				told, _ = url.ParseQuery(v.location.Fragment)
			}
			if told.Get("error") != c.code || told.Get("state") != "state-1" || told.Get("code") != "" {
				t.Errorf("%s: %v, want %s", name, told, c.code)
			}
		}
		// Nothing may be sent to an address that is not the client's.
		for name, query := range map[string]url.Values{
			"unknown client":   authorization("nope"),
			"service client":   authorization("tenantry-provisioner"),
			"no redirect":      authorization("app", "redirect_uri", "-"),
			"other redirect":   authorization("app", "redirect_uri", "https://evil.example/callback"),
			"longer redirect":  authorization("app", "redirect_uri", callback+"/../evil"),
			"redirect + query": authorization("app", "redirect_uri", callback+"?x=1"),
			"redirect + slash": authorization("app", "redirect_uri", callback+"/"),
			"other port":       authorization("app", "redirect_uri", "http://127.0.0.1:3001/callback"),
		} {
			if v := tg.browser().get(t, "auth", query); v.status != http.StatusBadRequest || v.location != nil {
				t.Errorf("%s: %d %v", name, v.status, v.location)
			}
		}
	})
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		b := tg.browser()
		first := b.signIn(t, b.get(t, "auth", authorization("app")), "username", "grace@acme.test", "password", "demo")
		low := claimsOf(t, tg.exchange(t, "app", first.param("code")).text("access_token"))
		page := b.get(t, "auth", authorization("app", "acr_values", "2"))
		if !page.shows("otp") || page.shows("password") {
			t.Fatalf("want only the second step: %d %s", page.status, page.raw)
		}
		if page = b.submit(t, page, "otp", "000000"); page.location != nil || !page.shows("otp") {
			t.Fatalf("a wrong code: %d %v", page.status, page.location)
		}
		tg.counted(t, idOf["grace@acme.test"])
		done := b.submit(t, page, "otp", tg.totp(t))
		if done.location == nil {
			t.Fatalf("the right code: %d %s", done.status, done.raw)
		}
		high := claimsOf(t, tg.exchange(t, "app", done.param("code")).text("access_token"))
		if high["acr"] != "2" || high["sid"] != low["sid"] {
			t.Errorf("was %v\nis %v", low, high)
		}
		if got := texts(high["amr"]); len(got) != 2 || got[0] != "otp" || got[1] != "pwd" {
			t.Errorf("amr %v", got)
		}
	})
}

// TestPlatformConsoleNeedsTwoSteps, whatever the request asks for.
func TestPlatformConsoleNeedsTwoSteps(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		for _, acr := range []string{"-", "1", "2"} {
			b := tg.browser()
			page := b.signIn(t, b.get(t, "auth", authorization("admin-console", "acr_values", acr)), "username", "root@tenantry.test", "password", "demo")
			if page.location != nil || !page.shows("otp") {
				t.Fatalf("acr_values %s: %d %v", acr, page.status, page.location)
			}
			done := b.submit(t, page, "otp", tg.totp(t))
			c := claimsOf(t, tg.exchange(t, "admin-console", done.param("code")).text("access_token"))
			if c["acr"] != "2" || c["aud"] != "tenantry-admin" {
				t.Errorf("acr_values %s: %v", acr, c)
			}
		}
	})
}

func TestUserinfo(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		a := tg.userinfo(t, tg.password(t, "app", "ada@acme.test", "scope", "openid").text("access_token"))
		if a.status != http.StatusOK || a.text("sub") != idOf["ada@acme.test"] || a.text("email") != "ada@acme.test" || a.text("preferred_username") != "ada@acme.test" {
			t.Errorf("%d %s", a.status, a.raw)
		}
		if a := tg.userinfo(t, tg.password(t, "app", "ada@acme.test").text("access_token")); a.status != http.StatusForbidden {
			t.Errorf("without openid: %d", a.status)
		}
		if a := tg.userinfo(t, "x.y.z"); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("garbage: %d %v", a.status, a.header)
		}
	})
}

func TestLogout(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		signIn := func() (*browser, answer) {
			b := tg.browser()
			return b, tg.exchange(t, "app", b.signIn(t, b.get(t, "auth", authorization("app")), ada...).param("code"))
		}
		over := func(what string, b *browser, a answer) {
			t.Helper()
			if got := tg.userinfo(t, a.text("access_token")).status; got != http.StatusUnauthorized {
				t.Errorf("%s: userinfo still answers %d", what, got)
			}
			if got := tg.refresh(t, "app", a.text("refresh_token")); got.text("error") != "invalid_grant" {
				t.Errorf("%s: refreshed: %d %s", what, got.status, got.raw)
			}
			if v := b.get(t, "auth", authorization("app", "prompt", "none")); v.param("error") != "login_required" {
				t.Errorf("%s: the browser is still known: %v", what, v.location)
			}
		}
		b, a := signIn()
		if v := b.get(t, "logout", url.Values{"id_token_hint": {a.text("id_token")}, "post_logout_redirect_uri": {"https://evil.example/"}}); v.status != http.StatusBadRequest || v.location != nil {
			t.Errorf("a foreign target: %d %v", v.status, v.location)
		}
		v := b.get(t, "logout", url.Values{"id_token_hint": {a.text("id_token")}, "post_logout_redirect_uri": {callback}, "state": {"bye"}})
		if v.location == nil || v.location.String() != callback+"?state=bye" {
			t.Errorf("with a hint: %d %v", v.status, v.location)
		}
		over("with a hint", b, a)

		b, a = signIn()
		page := b.get(t, "logout", nil)
		if page.status != http.StatusOK || tg.userinfo(t, a.text("access_token")).status != http.StatusOK {
			t.Fatalf("without a hint it must ask first: %d", page.status)
		}
		if v := b.submit(t, page); v.status != http.StatusOK {
			t.Errorf("confirmed: %d %s", v.status, v.raw)
		}
		over("confirmed", b, a)

		b, a = signIn()
		if got := tg.post(t, "logout", "client_id", "app", "refresh_token", a.text("refresh_token")); got.status != http.StatusNoContent {
			t.Errorf("by refresh token: %d %s", got.status, got.raw)
		}
		over("by refresh token", b, a)
	})
}
