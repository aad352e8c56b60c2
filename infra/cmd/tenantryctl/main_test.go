package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"encore.app/infra/keycloak/issuertest"
)

// bench is a realm, an app that knows two calls, and the environment that names both.
type bench struct {
	env      map[string]string
	orgs     map[string]organization // by slug
	invited  []string
	failures atomic.Int32 // answers with 503 that are still to be given
	keys     map[string]bool
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{orgs: map[string]organization{}, keys: map[string]bool{}}
	app := httptest.NewServer(b.app(t))
	t.Cleanup(app.Close)
	b.env = map[string]string{
		"OIDC_ISSUER_URL": issuertest.Development(t).URL, "KEYCLOAK_CLIENT_SECRET": "demo-operator",
		"TENANTRY_API_URL": app.URL, "TENANTRY_TOKEN": "good",
	}
	return b
}

// app answers as the app's admin API does.
func (b *bench) app(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	refuse := func(w http.ResponseWriter, status int, reason string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":"x","message":"no","details":{"reason":%q,"request_id":"r-1"}}`, reason)
	}
	mux.HandleFunc("GET /api/v1/admin/orgs", func(w http.ResponseWriter, r *http.Request) {
		list := []organization{}
		for _, o := range b.orgs {
			list = append(list, o)
		}
		json.NewEncoder(w).Encode(map[string]any{"items": list, "next_cursor": ""})
	})
	mux.HandleFunc("POST /api/v1/admin/orgs", func(w http.ResponseWriter, r *http.Request) {
		var o organization
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			t.Error(err)
		}
		if _, taken := b.orgs[o.Slug]; taken {
			refuse(w, http.StatusConflict, "already_exists")
			return
		}
		o.ID = "org-" + o.Slug
		b.orgs[o.Slug] = o
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(o)
	})
	mux.HandleFunc("POST /api/v1/admin/orgs/{org}/invitations", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Email    string   `json:"email"`
			OrgRoles []string `json:"org_roles"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.OrgRoles) != 1 || body.OrgRoles[0] != "owner" {
			t.Errorf("%+v, %v", body, err)
		}
		b.invited = append(b.invited, r.PathValue("org")+" "+body.Email)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"i-1","token":"invitation-token","expires_at":"2030-01-01T00:00:00Z"}`)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); r.Method == http.MethodPost {
			if key == "" {
				t.Error("a write without a key")
			}
			b.keys[key] = true
		}
		switch {
		case r.Header.Get("Authorization") == "Bearer weak":
			refuse(w, http.StatusForbidden, "mfa_required")
		case r.Header.Get("Authorization") != "Bearer good":
			refuse(w, http.StatusUnauthorized, "unauthenticated")
		case b.failures.Add(-1) >= 0:
			refuse(w, http.StatusServiceUnavailable, "dependency_unavailable")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (b *bench) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, func(name string) string { return b.env[name] }, &out, &err)
	return code, out.String(), err.String()
}

func (b *bench) runJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	code, out, stderr := b.run(t, append(args, "--json")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
}

func TestProvision(t *testing.T) {
	t.Parallel()
	b := setup(t)
	args := []string{"provision", "--slug", "initech", "--name", "Initech", "--owner-email", "Bill@Initech.test", "--temporary-password"}
	b.failures.Store(1) // what fails once is tried again, as the same write
	var first, second provisioned
	b.runJSON(t, &first, args...)
	if first.Organization.ID != "org-initech" || first.Existed || !first.Owner.AccountCreated || first.Owner.Email != "bill@initech.test" ||
		len(first.Owner.TemporaryPassword) < 20 || first.Invitation.Token != "invitation-token" {
		t.Errorf("%+v", first)
	}
	if len(b.keys) != 2 {
		t.Errorf("%d keys for two writes, one of them tried twice", len(b.keys))
	}
	b.runJSON(t, &second, args...)
	if !second.Existed || second.Owner.AccountCreated || second.Owner.UserID != first.Owner.UserID || second.Owner.TemporaryPassword != "" {
		t.Errorf("again: %+v", second)
	}
	if len(b.invited) != 2 || b.invited[0] != "org-initech bill@initech.test" {
		t.Errorf("invited %v", b.invited)
	}
	code, out, stderr := b.run(t, args...)
	if code != 0 || !strings.Contains(out, "invitation-token") || !strings.Contains(out, "there already") {
		t.Errorf("%d %s %s", code, out, stderr)
	}
	if code, _, stderr := b.run(t, "provision", "--slug", "initech", "--name", "Other", "--owner-email", "x@y.test"); code != exitFailed || !strings.Contains(stderr, "Initech") {
		t.Errorf("somebody else's slug: %d %s", code, stderr)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, action := range []string{"logout", "reset-mfa", "disable", "enable"} {
		var did done
		b.runJSON(t, &did, "users", action, "--email", "grace@acme.test")
		if did.UserID != "00000000-0000-7000-8000-000000000106" || did.Action != action {
			t.Errorf("%+v", did)
		}
	}
	if code, out, stderr := b.run(t, "users", "logout", "--id", "00000000-0000-7000-8000-000000000106"); code != 0 || !strings.Contains(out, "logout") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestPlatformRoles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all, one roleMembers
	b.runJSON(t, &all, "platform-roles")
	b.runJSON(t, &one, "platform-roles", "--role", "platform_auditor")
	if len(all.Items) != 3 || len(one.Items) != 1 || one.Items[0].Email != "auditor@tenantry.test" {
		t.Errorf("%+v\n%+v", all, one)
	}
	b.run(t, "users", "disable", "--email", "auditor@tenantry.test")
	if _, out, _ := b.run(t, "platform-roles"); strings.Count(out, "\n") != 3 || strings.Count(out, "(disabled)") != 1 {
		t.Error(out)
	}
}

func TestRotateSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, secret, stderr := b.run(t, "rotate-secret", "--client", "tenantry-operator")
	if code != 0 || len(strings.TrimSpace(secret)) < 32 {
		t.Fatalf("%d %s", code, stderr)
	}
	if code, _, _ := b.run(t, "platform-roles"); code != exitRefused {
		t.Errorf("with the old secret: exit code %d", code)
	}
	b.env["KEYCLOAK_CLIENT_SECRET"] = strings.TrimSpace(secret)
	if code, _, stderr := b.run(t, "platform-roles"); code != 0 {
		t.Errorf("with the new one: %s", stderr)
	}
}

func TestWhatGoesWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := []string{"provision", "--slug", "a", "--name", "A", "--owner-email", "a@b.test"}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"nothing":           {nil, nil, exitUsage, "tenantryctl looks after"},
		"unknown command":   {[]string{"destroy"}, nil, exitUsage, "destroy"},
		"unknown flag":      {[]string{"provision", "--force"}, nil, exitUsage, "force"},
		"stray argument":    {append(good, "now"), nil, exitUsage, "now"},
		"missing flags":     {[]string{"provision", "--slug", "a"}, nil, exitUsage, "--name, --owner-email"},
		"unknown action":    {[]string{"users", "promote"}, nil, exitUsage, "reset-mfa"},
		"nobody named":      {[]string{"users", "disable"}, nil, exitUsage, "--email"},
		"twice named":       {[]string{"users", "disable", "--email", "a", "--id", "b"}, nil, exitUsage, "either"},
		"unknown role":      {[]string{"platform-roles", "--role", "king"}, nil, exitUsage, "platform_admin"},
		"no token":          {good, map[string]string{"TENANTRY_TOKEN": ""}, exitUsage, "TENANTRY_TOKEN"},
		"no secret":         {good, map[string]string{"KEYCLOAK_CLIENT_SECRET": ""}, exitUsage, "KEYCLOAK_CLIENT_SECRET"},
		"no issuer":         {good, map[string]string{"OIDC_ISSUER_URL": ""}, exitUsage, "OIDC_ISSUER_URL"},
		"bad API URL":       {good, map[string]string{"TENANTRY_API_URL": "here"}, exitUsage, "TENANTRY_API_URL"},
		"refused token":     {good, map[string]string{"TENANTRY_TOKEN": "old"}, exitRefused, "unauthenticated"},
		"one factor":        {good, map[string]string{"TENANTRY_TOKEN": "weak"}, exitRefused, "one-time code"},
		"wrong secret":      {[]string{"platform-roles"}, map[string]string{"KEYCLOAK_CLIENT_SECRET": "x"}, exitRefused, "sign in"},
		"too few rights":    {[]string{"platform-roles"}, map[string]string{"KEYCLOAK_CLIENT_ID": "tenantry-provisioner", "KEYCLOAK_CLIENT_SECRET": "demo-provisioner"}, exitRefused, "may not"},
		"unknown person":    {[]string{"users", "disable", "--email", "nobody@acme.test"}, nil, exitNotFound, "not found"},
		"unknown client":    {[]string{"rotate-secret", "--client", "nope"}, nil, exitNotFound, "not found"},
		"a public client":   {[]string{"rotate-secret", "--client", "app"}, nil, exitFailed, "public"},
		"the app is down":   {good, map[string]string{"TENANTRY_API_URL": "http://127.0.0.1:1"}, exitUnavailable, "not available"},
		"Keycloak is down":  {[]string{"platform-roles"}, map[string]string{"OIDC_ISSUER_URL": "http://127.0.0.1:1/realms/tenantry"}, exitUnavailable, "not available"},
		"no Keycloak realm": {[]string{"platform-roles", "--issuer", "https://id.example/"}, nil, exitFailed, "no Keycloak realm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := &bench{env: map[string]string{}}
			for k, v := range b.env {
				other.env[k] = v
			}
			for k, v := range c.env {
				other.env[k] = v
			}
			code, out, stderr := other.run(t, c.args...)
			if code != c.code || out != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d; %q%q", code, c.code, out, stderr)
			}
			if strings.Contains(stderr, "demo-operator") || strings.Contains(stderr, "Bearer") {
				t.Errorf("a secret is told: %s", stderr)
			}
		})
	}
	if code, out, _ := b.run(t, "users", "disable", "--help"); code != 0 || !strings.Contains(out, "Exit codes") {
		t.Errorf("help: %d %s", code, out)
	}
	if code, _, stderr := b.run(t, "users", "disable", "--json", "--email", "nobody@acme.test"); code != exitNotFound || !json.Valid([]byte(stderr)) {
		t.Errorf("%d %s", code, stderr)
	}
}
