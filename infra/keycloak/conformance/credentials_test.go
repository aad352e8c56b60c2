package conformance

import (
	"net/http"
	"testing"
)

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		for name, c := range map[string]struct {
			pairs  []string
			status int
			code   string
		}{
			"unknown user":      {[]string{"grant_type", "password", "client_id", "app", "username", "nobody@acme.test", "password", "demo"}, 400, "invalid_grant"},
			"unknown client":    {[]string{"grant_type", "password", "client_id", "nope", "username", "ada@acme.test", "password", "demo"}, 401, "invalid_client"},
			"no grant":          {[]string{"client_id", "app"}, 400, "invalid_request"},
			"unknown grant":     {[]string{"grant_type", "magic", "client_id", "app"}, 400, "unsupported_grant_type"},
			"unknown scope":     {[]string{"grant_type", "password", "client_id", "app", "username", "ada@acme.test", "password", "demo", "scope", "openid admin"}, 400, "invalid_scope"},
			"no such org":       {[]string{"grant_type", "password", "client_id", "app", "username", "ada@acme.test", "password", "demo", "scope", "openid organization:nope"}, 400, "invalid_scope"},
			"wrong secret":      {[]string{"grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "nope"}, 401, "unauthorized_client"},
			"no secret":         {[]string{"grant_type", "client_credentials", "client_id", "tenantry-provisioner"}, 401, "unauthorized_client"},
			"public client":     {[]string{"grant_type", "client_credentials", "client_id", "app"}, 401, "unauthorized_client"},
			"no direct grant":   {[]string{"grant_type", "password", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner", "username", "ada@acme.test", "password", "demo"}, 400, "unauthorized_client"},
			"garbage refresh":   {[]string{"grant_type", "refresh_token", "client_id", "app", "refresh_token", "x.y.z"}, 400, "invalid_grant"},
			"garbage code":      {[]string{"grant_type", "authorization_code", "client_id", "app", "code", "x", "redirect_uri", callback, "code_verifier", verifier}, 400, "invalid_grant"},
			"no refresh at all": {[]string{"grant_type", "refresh_token", "client_id", "app"}, 400, "invalid_request"},
		} {
			if a := tg.post(t, "token", c.pairs...); a.status != c.status || a.text("error") != c.code {
				t.Errorf("%s: %d %s, want %d %s", name, a.status, a.raw, c.status, c.code)
			}
		}
	})
}

// TestLockOut comes after five wrong passwords and keeps even the right one out for a minute.
func TestLockOut(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		const user = "mallory@nowhere.test"
		try := func(password string) answer {
			return tg.post(t, "token", "grant_type", "password", "client_id", "org-console", "username", user, "password", password)
		}
		tg.unlock(t, idOf[user]) // of an earlier run
		var wrong answer
		for range 5 {
			wrong = try("wrong")
		}
		right := try("demo")
		if right.status != wrong.status || right.raw != wrong.raw || right.text("error") != "invalid_grant" {
			t.Errorf("locked out: %d %s; a wrong password: %d %s", right.status, right.raw, wrong.status, wrong.raw)
		}
		tg.unlock(t, idOf[user])
		if a := try("demo"); a.status != http.StatusOK {
			t.Errorf("after the lock: %d %s", a.status, a.raw)
		}
	})
}
