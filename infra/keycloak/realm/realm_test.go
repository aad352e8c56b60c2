package realm_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"encore.app/infra/keycloak/realm"
)

const (
	production = "../tenantry-realm.json"
	demo       = "../demo.json"
)

// frontClients are the audiences of the API and the clients that stand for them.
var frontClients = map[string]string{
	"admin-console": "tenantry-admin",
	"org-console":   "tenantry-org",
	"app":           "tenantry-app",
}

func load(t *testing.T, files ...string) *realm.Realm {
	t.Helper()
	r, err := realm.Load(func(string) string { return "" }, files...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readRaw(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(production)
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProductionFrontClients(t *testing.T) {
	t.Parallel()
	r := load(t, production)
	for id, audience := range frontClients {
		c := r.Client(id)
		if c == nil {
			t.Errorf("client %s is missing", id)
			continue
		}
		if aud := c.Audiences(); !slices.Equal(aud, []string{audience}) {
			t.Errorf("%s: audiences %v, want only %s", id, aud, audience)
		}
		if !c.Public || !c.StandardFlow || c.DirectAccessGrants || c.ServiceAccounts || c.FullScope {
			t.Errorf("%s: must be public, code only, without full scope: %+v", id, c)
		}
		if c.Attributes["pkce.code.challenge.method"] != "S256" {
			t.Errorf("%s: PKCE S256 is not required", id)
		}
		if c.Attributes["client.use.lightweight.access.token.enabled"] == "true" {
			t.Errorf("%s: lightweight tokens lack what the API reads", id)
		}
		if !c.HasMapper("oidc-amr-mapper") {
			t.Errorf("%s: amr would be missing", id)
		}
		for _, scope := range []string{"basic", "acr", "profile", "email", "roles"} {
			if !slices.Contains(c.DefaultScopes, scope) {
				t.Errorf("%s: default scope %s is missing", id, scope)
			}
		}
		if slices.Contains(c.DefaultScopes, "organization") || !slices.Contains(c.OptionalScopes, "organization") {
			t.Errorf("%s: organization must be optional", id)
		}
		for _, uri := range c.RedirectURIs {
			if strings.Contains(uri, "*") || !strings.HasPrefix(uri, "https://") {
				t.Errorf("%s: redirect %s is not exact and https", id, uri)
			}
		}
		if len(c.RedirectURIs) == 0 {
			t.Errorf("%s: no redirect", id)
		}
	}
	if r.Client("admin-console").Attributes["minimum.acr.value"] != "2" {
		t.Error("admin-console must require level 2")
	}
}

func TestProductionRolesReachOnlyTheAdminConsole(t *testing.T) {
	t.Parallel()
	r := load(t, production)
	if len(r.ScopeMappings) != 1 || r.ScopeMappings[0].Client != "admin-console" {
		t.Fatalf("scope mappings %+v", r.ScopeMappings)
	}
	want := []string{"platform_admin", "platform_support", "platform_auditor"}
	if !slices.Equal(r.ScopeMappings[0].Roles, want) {
		t.Errorf("admin-console carries %v, want %v", r.ScopeMappings[0].Roles, want)
	}
}

// serviceAccounts are the machines and the least that each needs. Only operators may change clients.
var serviceAccounts = map[string][]string{
	"tenantry-provisioner": {"manage-users", "query-users", "view-users", "manage-organizations"},
	"tenantry-operator":    {"manage-users", "query-users", "view-users", "manage-organizations", "manage-clients", "view-realm"},
}

func TestProductionServiceAccounts(t *testing.T) {
	t.Parallel()
	r := load(t, production)
	for id := range serviceAccounts {
		c := r.Client(id)
		if c == nil || c.Public || c.StandardFlow || c.DirectAccessGrants || !c.ServiceAccounts || c.FullScope {
			t.Fatalf("%s: %+v", id, c)
		}
		if c.Secret != "" {
			t.Errorf("%s: a secret in the file is known to everybody", id)
		}
	}
	for _, u := range r.Users {
		least, known := serviceAccounts[u.ServiceAccountClient]
		if !known {
			t.Errorf("production has a person: %s", u.Username)
		}
		if len(u.Credentials) != 0 || !slices.Equal(u.ClientRoles["realm-management"], least) || len(u.ClientRoles) != 1 {
			t.Errorf("%s: %+v", u.Username, u)
		}
	}
	if len(r.Organizations) != 0 {
		t.Error("production has organisations")
	}
}

func TestProductionRealmSettings(t *testing.T) {
	t.Parallel()
	r := readRaw(t)
	if _, ok := r["clientScopes"]; ok {
		t.Error("clientScopes suppresses every built-in scope")
	}
	for name, want := range map[string]any{
		"realm": "tenantry", "enabled": true, "organizationsEnabled": true, "registrationAllowed": false,
		"duplicateEmailsAllowed": false, "bruteForceProtected": true, "revokeRefreshToken": true,
		"eventsEnabled": true, "adminEventsEnabled": true, "adminEventsDetailsEnabled": false,
		"otpPolicyCodeReusable": false, "defaultSignatureAlgorithm": "RS256", "sslRequired": "external",
	} {
		if r[name] != want {
			t.Errorf("%s is %v, want %v", name, r[name], want)
		}
	}
	if n, _ := r["eventsExpiration"].(float64); n <= 0 {
		t.Error("user events are kept for ever")
	}
	if n, _ := r["accessTokenLifespan"].(float64); n <= 0 || n > 300 {
		t.Errorf("access tokens live %v s", n)
	}
	attributes, _ := r["attributes"].(map[string]any)
	if attributes["adminEventsExpiration"] == nil {
		t.Error("admin events are kept for ever")
	}
	var levels map[string]int
	text, _ := attributes["acr.loa.map"].(string)
	if err := json.Unmarshal([]byte(text), &levels); err != nil || levels["1"] != 1 || levels["2"] != 2 {
		t.Errorf("acr.loa.map is %q", text)
	}
}

// TestProductionBrowserFlow follows the bound flow: every alias and configuration it
// names must exist, and it must ask for a level 1 and a level 2.
func TestProductionBrowserFlow(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(production)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		BrowserFlow         string
		AuthenticationFlows []struct {
			Alias                    string
			AuthenticationExecutions []struct{ Authenticator, FlowAlias, AuthenticatorConfig, Requirement string }
		}
		AuthenticatorConfig []struct {
			Alias  string
			Config map[string]string
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	configs := map[string]map[string]string{}
	for _, c := range r.AuthenticatorConfig {
		configs[c.Alias] = c.Config
	}
	levels, steps := map[string]bool{}, map[string]bool{}
	var follow func(alias string)
	follow = func(alias string) {
		for _, f := range r.AuthenticationFlows {
			if f.Alias != alias {
				continue
			}
			for _, e := range f.AuthenticationExecutions {
				if e.FlowAlias != "" {
					follow(e.FlowAlias)
					continue
				}
				steps[e.Authenticator+" "+e.Requirement] = true
				config, ok := configs[e.AuthenticatorConfig]
				if e.AuthenticatorConfig != "" && !ok {
					t.Errorf("%s: no configuration %q", alias, e.AuthenticatorConfig)
				}
				if e.Authenticator == "conditional-level-of-authentication" {
					levels[config["loa-condition-level"]] = true
				}
			}
			return
		}
		t.Errorf("no flow %q", alias)
	}
	follow(r.BrowserFlow)
	if !levels["1"] || !levels["2"] {
		t.Errorf("levels asked for: %v", levels)
	}
	for _, step := range []string{"auth-username-password-form REQUIRED", "auth-otp-form REQUIRED", "auth-cookie ALTERNATIVE"} {
		if !steps[step] {
			t.Errorf("flow lacks %s: %v", step, steps)
		}
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	r := load(t, production, demo)
	roles := map[string][]string{
		"root@tenantry.test": {"platform_admin"}, "support@tenantry.test": {"platform_support"}, "auditor@tenantry.test": {"platform_auditor"},
		"ada@acme.test": nil, "alan@acme.test": nil, "grace@acme.test": nil, "bob@acme.test": nil, "eve@globex.test": nil, "mallory@nowhere.test": nil,
	}
	orgs := map[string][]string{
		"ada@acme.test": {"acme"}, "alan@acme.test": {"acme"}, "grace@acme.test": {"acme"},
		"bob@acme.test": {"acme", "globex"}, "eve@globex.test": {"globex"},
	}
	seen := map[string]bool{}
	for _, u := range r.Users {
		if u.ServiceAccountClient != "" {
			continue
		}
		want, known := roles[u.Username]
		if !known {
			t.Errorf("unexpected user %s", u.Username)
		}
		delete(roles, u.Username)
		got := slices.DeleteFunc(slices.Clone(u.RealmRoles), func(role string) bool { return role == "default-roles-tenantry" })
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s has roles %v, want %v", u.Username, got, want)
		}
		if u.ID == "" || seen[u.ID] {
			t.Errorf("%s: id %q is missing or taken", u.Username, u.ID)
		}
		seen[u.ID] = true
		if u.Password() != "demo" || u.OTPSecret() != "JBSWY3DPEHPK3PXP" || !u.Enabled || !u.EmailVerified {
			t.Errorf("%s: %+v", u.Username, u)
		}
		var aliases []string
		for _, o := range r.OrganizationsOf(u.Username) {
			aliases = append(aliases, o.Alias)
		}
		if !slices.Equal(aliases, orgs[u.Username]) {
			t.Errorf("%s is in %v, want %v", u.Username, aliases, orgs[u.Username])
		}
	}
	if len(roles) != 0 {
		t.Errorf("missing users: %v", roles)
	}
	for id := range frontClients {
		c := r.Client(id)
		if !c.DirectAccessGrants || len(c.Audiences()) != 1 || c.FullScope {
			t.Errorf("%s after the overlay: %+v", id, c)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "realm.json")
	err := os.WriteFile(file, []byte(`{"realm":"r","clients":[{"clientId":"c","enabled":true,"redirectUris":["${SET:x}/a","${UNSET:y}/b","${NONE}/c"]}]}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	r, err := realm.Load(func(name string) string { return map[string]string{"SET": "https://set"}[name] }, file)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"https://set/a", "y/b", "${NONE}/c"}
	if got := r.Client("c").RedirectURIs; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "realm.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, files := range map[string][]string{
		"no file":      nil,
		"missing file": {filepath.Join(t.TempDir(), "none.json")},
		"not JSON":     {write("{")},
		"other realm":  {production, write(`{"realm":"other"}`)},
	} {
		if _, err := realm.Merge(files...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
