package issuer_test

import (
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"encore.app/infra/devstack/issuer"
)

func TestLockOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wrong := func() answer {
		return b.post(t, "/token", "grant_type", "password", "client_id", "app", "username", "mallory@nowhere.test", "password", "x")
	}
	for range 2 { // a success clears the count
		for range 4 {
			wrong()
		}
		if a := b.password(t, "app", "mallory@nowhere.test"); a.status != http.StatusOK {
			t.Fatalf("four failures: %+v", a)
		}
	}
	for range 5 {
		wrong()
	}
	locked := b.password(t, "app", "mallory@nowhere.test")
	if !reflect.DeepEqual(locked.body, wrong().body) || locked.text("error") != "invalid_grant" {
		t.Errorf("a lock-out must look like a wrong password: %+v", locked)
	}
	if a := b.password(t, "app", "ada@acme.test"); a.status != http.StatusOK {
		t.Errorf("somebody else: %+v", a)
	}
	b.clock.advance(59 * time.Second)
	if a := b.password(t, "app", "mallory@nowhere.test"); a.status == http.StatusOK {
		t.Error("let in a second too early")
	}
	b.clock.advance(time.Second)
	if a := b.password(t, "app", "mallory@nowhere.test"); a.status != http.StatusOK {
		t.Errorf("after the wait: %+v", a)
	}
}

// Whoever knows the password must not get to try code after code, at the token endpoint or at the page.
func TestARightPasswordForgivesNoWrongCode(t *testing.T) {
	t.Parallel()
	const user = "root@tenantry.test"
	grant := func(b *bench) { b.password(t, "app", user, "totp", b.wrongTOTP(t)) }
	page := func(b *bench) {
		br := b.browser(t)
		v := br.submit(t, br.get(t, protocol+"/auth", request("admin-console")), "username", user, "password", "demo")
		br.submit(t, v, "otp", b.wrongTOTP(t))
	}
	for name, guess := range map[string]func(*bench){"token endpoint": grant, "page": page} {
		b := setup(t)
		for range 5 {
			if a := b.password(t, "app", user); a.status != http.StatusOK {
				t.Fatalf("%s: locked out too early: %+v", name, a)
			}
			guess(b)
		}
		if a := b.password(t, "app", user, "totp", b.totp(t)); a.status == http.StatusOK {
			t.Errorf("%s: five wrong codes, and the right one is taken", name)
		}
		b.clock.advance(time.Minute)
		if a := b.password(t, "app", user, "totp", b.totp(t)); a.status != http.StatusOK {
			t.Fatalf("%s: after the wait: %+v", name, a)
		}
		guess(b)
		if a := b.password(t, "app", user); a.status != http.StatusOK {
			t.Errorf("%s: a right code does not clear the count: %+v", name, a)
		}
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refresh := func(client, raw string) answer {
		return b.post(t, "/token", "grant_type", "refresh_token", "client_id", client, "refresh_token", raw)
	}
	first := b.password(t, "app", "grace@acme.test", "scope", "openid organization", "totp", b.totp(t))
	b.clock.advance(10 * time.Minute)
	if a := refresh("org-console", first.text("refresh_token")); a.text("error") != "invalid_grant" || !strings.Contains(a.text("error_description"), "don't match") {
		t.Errorf("another client: %+v", a)
	}
	for name, raw := range map[string]string{"access": first.text("access_token"), "ID": first.text("id_token")} {
		if a := refresh("app", raw); a.text("error") != "invalid_grant" {
			t.Errorf("%s token: %+v", name, a)
		}
	}
	second := refresh("app", first.text("refresh_token"))
	was, is := claimsOf(t, first.text("access_token")), claimsOf(t, second.text("access_token"))
	for _, same := range []string{"sub", "sid", "auth_time", "acr", "scope", "aud", "organization"} {
		if !reflect.DeepEqual(was[same], is[same]) || was[same] == nil {
			t.Errorf("%s was %v, is %v", same, was[same], is[same])
		}
	}
	if was["jti"] == is["jti"] || is["iat"].(float64) != was["iat"].(float64)+600 {
		t.Errorf("not a new token: %v", is)
	}
	if a := refresh("app", first.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("used twice: %+v", a)
	}
	if a := refresh("app", second.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("after a reuse the newer one is void too: %+v", a)
	}
}

func TestSessionLifetimes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	idle := b.password(t, "app", "grace@acme.test")
	b.clock.advance(30 * time.Minute)
	if a := b.post(t, "/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", idle.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("after half an hour of idleness: %+v", a)
	}
	used := b.password(t, "app", "grace@acme.test")
	for minutes := 0; minutes < 600; minutes += 29 {
		if used.status != http.StatusOK {
			t.Fatalf("ended after %d minutes: %+v", minutes, used)
		}
		b.clock.advance(29 * time.Minute)
		used = b.post(t, "/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", used.text("refresh_token"))
	}
	if used.status == http.StatusOK {
		t.Error("a session outlived ten hours")
	}
}

// TestRestart: with a key file, tokens and sessions outlive the process, ended ones stay ended.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := "http://127.0.0.1:8180"
	file := filepath.Join(t.TempDir(), "keys", "issuer.json")
	keep := func(c *issuer.Config) { c.KeyFile, c.BaseURL = file, server }
	refresh := func(b *bench, raw string) answer {
		return b.post(t, "/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", raw)
	}
	old := setup(t, keep)
	first := old.password(t, "app", "ada@acme.test", "scope", "openid", "totp", old.totp(t))

	later := setup(t, keep, func(c *issuer.Config) {
		began := c.Clock()
		c.Clock = func() time.Time { return began.Add(time.Minute) }
	})
	second := refresh(later, first.text("refresh_token"))
	if second.status != http.StatusOK {
		t.Fatalf("not resumed: %+v", second)
	}
	if c := claimsOf(t, second.text("access_token")); c["acr"] != "2" || c["sid"] != first.text("session_state") {
		t.Errorf("%v", c)
	}
	if a := later.userinfo(t, first.text("access_token")); a.status != http.StatusOK {
		t.Errorf("a token of the last run: %+v", a)
	}
	later.post(t, "/logout", "client_id", "app", "refresh_token", second.text("refresh_token"))
	if a := refresh(later, first.text("refresh_token")); a.status == http.StatusOK {
		t.Error("a sign-out was undone with an older token")
	}
}
