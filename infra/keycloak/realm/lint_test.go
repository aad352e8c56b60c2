package realm_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"encore.app/infra/keycloak/realm"
)

func TestProductionHasNoTraps(t *testing.T) {
	t.Parallel()
	for _, f := range lintAfter(t, func(object) {}) {
		t.Error(f)
	}
}

// object is a realm, or a part of one, as JSON has it.
type object = map[string]any

// lintAfter lints the production realm after a change.
func lintAfter(t *testing.T, change func(r object)) []realm.Finding {
	t.Helper()
	r, err := realm.Merge(production)
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	findings, err := realm.Lint(r)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// element finds the member of a list that has a name.
func element(r object, list, key, name string) object {
	for _, e := range r[list].([]any) {
		if e.(object)[key] == name {
			return e.(object)
		}
	}
	panic("no " + name + " in " + list)
}

func client(r object, id string) object { return element(r, "clients", "clientId", id) }

// set changes members of the realm; nil removes one.
func set(pairs ...any) func(object) {
	return func(r object) { put(r, pairs...) }
}

func put(r object, pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(r, pairs[i].(string))
			continue
		}
		r[pairs[i].(string)] = pairs[i+1]
	}
}

// setClient changes members of a client.
func setClient(id string, pairs ...any) func(object) {
	return func(r object) { put(client(r, id), pairs...) }
}

func setAttribute(id string, pairs ...any) func(object) {
	return func(r object) { put(client(r, id)["attributes"].(object), pairs...) }
}

func setMapper(id, kind string, pairs ...any) func(object) {
	return func(r object) {
		put(element(client(r, id), "protocolMappers", "protocolMapper", kind)["config"].(object), pairs...)
	}
}

func setConfig(alias string, pairs ...any) func(object) {
	return func(r object) { put(element(r, "authenticatorConfig", "alias", alias)["config"].(object), pairs...) }
}

// setStep changes the nth execution of a flow.
func setStep(flow string, n int, pairs ...any) func(object) {
	return func(r object) {
		put(element(r, "authenticationFlows", "alias", flow)["authenticationExecutions"].([]any)[n].(object), pairs...)
	}
}

func without(list any, name string) []any {
	return slices.DeleteFunc(slices.Clone(list.([]any)), func(e any) bool { return e == name })
}

func profile(text string) func(object) {
	return set("components", object{"org.keycloak.userprofile.UserProfileProvider": []any{
		object{"providerId": "declarative-user-profile", "config": object{"kc.user.profile.config": []any{text}}},
	}})
}

const usual = `{"name":"username"},{"name":"email"},{"name":"firstName"},{"name":"lastName"}`

// breaks are ways to spoil the realm, by the rule that has to notice. What is removed falls back to
// Keycloak's default.
var breaks = map[string][]func(object){
	"client scopes": {set("clientScopes", []any{}), set("defaultDefaultClientScopes", []any{"email"})},
	"password reset": {
		set("resetCredentialsFlow", nil), set("resetCredentialsFlow", "reset credentials"),
		setStep("tenantry reset password", 2, "authenticator", "reset-otp"),
	},
	"people": {
		func(r object) { r["users"] = append(r["users"].([]any), object{"username": "ada@acme.test"}) },
		set("organizations", []any{object{"alias": "acme"}}),
	},
	"secrets": {
		setClient("tenantry-provisioner", "secret", "x"), setClient("tenantry-operator", "secret", "${PROVISIONER_SECRET}"),
		set("smtpServer", object{"host": "mail.example", "password": "x"}),
		set("components", object{"org.keycloak.keys.KeyProvider": []any{object{"config": object{"privateKey": []any{"x"}}}}}),
		func(r object) { r["users"].([]any)[0].(object)["credentials"] = []any{object{"type": "password"}} },
	},
	"sign-up":       {set("registrationAllowed", true), set("verifyEmail", nil), set("duplicateEmailsAllowed", true), set("editUsernameAllowed", true)},
	"transport":     {set("sslRequired", "none"), set("sslRequired", nil), set("defaultSignatureAlgorithm", "HS256")},
	"organisations": {set("organizationsEnabled", false), set("organizationsEnabled", nil)},
	"lifetimes": {
		set("accessTokenLifespan", 301), set("accessTokenLifespan", nil), set("accessCodeLifespan", 600), set("ssoSessionIdleTimeout", 86400),
		set("ssoSessionMaxLifespan", 86400), set("offlineSessionMaxLifespanEnabled", nil), set("actionTokenGeneratedByUserLifespan", 3600),
	},
	"refresh rotation": {set("revokeRefreshToken", nil), set("refreshTokenMaxReuse", 1), set("refreshTokenMaxReuse", nil)},
	"brute force":      {set("bruteForceProtected", nil), set("failureFactor", 30), set("failureFactor", nil), set("waitIncrementSeconds", 1), set("permanentLockout", true)},
	"passwords":        {set("passwordPolicy", nil), set("passwordPolicy", "length(8) and maxLength(128)"), set("passwordPolicy", "maxLength(128)")},
	"one-time codes":   {set("otpPolicyType", "hotp"), set("otpPolicyDigits", 4), set("otpPolicyCodeReusable", true)},
	"events": {set("eventsEnabled", nil), set("eventsExpiration", nil), set("eventsExpiration", 0), func(r object) {
		r["enabledEventTypes"] = without(r["enabledEventTypes"], "LOGIN_ERROR")
	}},
	"admin events": {set("adminEventsEnabled", nil), set("adminEventsDetailsEnabled", true), func(r object) { delete(r["attributes"].(object), "adminEventsExpiration") }},
	"user profile": {
		profile(`{"attributes":[` + usual + `],"unmanagedAttributePolicy":"ENABLED"}`),
		profile(`{"attributes":[` + usual + `],"unmanagedAttributePolicy":"DISABLED"}`),
		profile(`{"attributes":[{"name":"username"},{"name":"email"}]}`),
		profile(`{"attributes":[` + usual + `,{"name":"tier","permissions":{"edit":["admin","user"]}}]}`),
		profile(`{`),
	},
	"levels": {
		func(r object) { delete(r["attributes"].(object), "acr.loa.map") },
		func(r object) { r["attributes"].(object)["acr.loa.map"] = `{"1":1,"2":1}` },
	},
	"step-up flow": {
		set("browserFlow", "browser"), set("browserFlow", nil), setConfig("tenantry level 2", "loa-condition-level", "1"),
		setConfig("tenantry level 2", "loa-max-age", "86400"), setConfig("tenantry level 2", "loa-max-age", nil),
		setStep("tenantry level 2", 1, "requirement", "ALTERNATIVE"), setStep("tenantry level 2", 0, "requirement", "DISABLED"),
		setStep("tenantry level 1", 1, "authenticator", "auth-cookie"), setStep("tenantry level 2", 1, "authenticatorConfig", "none such"),
		setStep("tenantry forms", 1, "flowAlias", "none such"), setStep("tenantry forms", 1, "requirement", "REQUIRED"),
		setStep("tenantry level 2", 1, "flowAlias", "tenantry level 2"),
	},
	"amr": {
		setConfig("tenantry otp reference", "default.reference.value", nil), setStep("tenantry level 1", 1, "authenticatorConfig", nil),
		setMapper("app", "oidc-amr-mapper", "access.token.claim", "false"),
	},
	"known clients": {
		func(r object) { r["clients"] = append(r["clients"].([]any), object{"clientId": "legacy"}) },
		func(r object) { r["clients"] = r["clients"].([]any)[1:] },
	},
	"full scope": {setClient("app", "fullScopeAllowed", true), setClient("app", "fullScopeAllowed", nil), setClient("tenantry-provisioner", "fullScopeAllowed", true)},
	"grants": {
		setClient("app", "implicitFlowEnabled", true), setClient("app", "directAccessGrantsEnabled", true), setClient("app", "directAccessGrantsEnabled", nil),
		setClient("tenantry-operator", "directAccessGrantsEnabled", true), setClient("org-console", "publicClient", false),
		setClient("org-console", "serviceAccountsEnabled", true), setClient("org-console", "standardFlowEnabled", false),
	},
	"redirects": {
		setClient("app", "redirectUris", []any{"https://app.tenantry.example/*"}), setClient("app", "redirectUris", []any{"http://app.tenantry.example/callback"}),
		setClient("app", "redirectUris", []any{"/callback"}), setClient("app", "redirectUris", []any{}), setClient("app", "redirectUris", []any{"${TENANTRY_APP_URL}/callback"}),
		setClient("app", "webOrigins", []any{"*"}), setClient("app", "webOrigins", []any{"+"}), setAttribute("app", "post.logout.redirect.uris", "https://app.tenantry.example/*"),
		setAttribute("app", "post.logout.redirect.uris", "+##http://evil.example"),
	},
	"pkce": {setAttribute("app", "pkce.code.challenge.method", "plain"), setAttribute("app", "pkce.code.challenge.method", nil)},
	"audience": {
		setMapper("app", "oidc-audience-mapper", "included.custom.audience", "tenantry-org"), setMapper("app", "oidc-audience-mapper", "access.token.claim", "false"),
		setMapper("app", "oidc-audience-mapper", "id.token.claim", "true"), setMapper("app", "oidc-audience-mapper", "included.client.audience", "org-console"),
		setClient("app", "protocolMappers", []any{}),
	},
	"scopes": {
		func(r object) {
			c := client(r, "app")
			c["defaultClientScopes"] = without(c["defaultClientScopes"], "basic")
		},
		func(r object) {
			c := client(r, "app")
			c["defaultClientScopes"] = without(c["defaultClientScopes"], "acr")
		},
		func(r object) {
			c := client(r, "app")
			c["defaultClientScopes"] = append(c["defaultClientScopes"].([]any), "organization")
		},
		setClient("app", "optionalClientScopes", []any{}), setClient("app", "optionalClientScopes", []any{"organization", "offline_access"}),
		setClient("tenantry-provisioner", "defaultClientScopes", []any{"acr"}),
	},
	"token form": {
		setAttribute("app", "client.use.lightweight.access.token.enabled", "true"), setAttribute("app", "access.token.header.type.rfc9068", nil),
		setAttribute("app", "access.token.lifespan", "86400"), setAttribute("app", "client.session.idle.timeout", "86400"),
		setAttribute("app", "access.token.signed.response.alg", "HS256"),
		setAttribute("tenantry-operator", "client_credentials.use_refresh_token", "true"),
	},
	"back-channel logout": {
		setAttribute("app", "backchannel.logout.url", nil), setAttribute("app", "backchannel.logout.url", "http://api.tenantry.example/oidc/backchannel-logout"),
		setAttribute("app", "backchannel.logout.url", "https://api.tenantry.example/"), setAttribute("app", "backchannel.logout.session.required", "false"),
	},
	"minimum level": {setAttribute("admin-console", "minimum.acr.value", nil), setAttribute("admin-console", "minimum.acr.value", "1"), setAttribute("app", "minimum.acr.value", "2")},
	"role reach": {
		func(r object) { r["scopeMappings"].([]any)[0].(object)["client"] = "app" },
		func(r object) { r["roles"].(object)["realm"].([]any)[0].(object)["composite"] = true },
		func(r object) {
			r["roles"].(object)["realm"] = append(r["roles"].(object)["realm"].([]any), object{"name": "platform_root"})
		},
		set("defaultRoles", []any{"platform_admin"}), set("defaultGroups", []any{"/staff"}),
	},
	"service accounts": {
		setClient("tenantry-provisioner", "publicClient", true), setClient("tenantry-provisioner", "standardFlowEnabled", true),
		setClient("tenantry-provisioner", "redirectUris", []any{"https://app.tenantry.example/callback"}),
		func(r object) {
			r["users"].([]any)[0].(object)["clientRoles"].(object)["realm-management"] = []any{"realm-admin"}
		},
		func(r object) { r["users"].([]any)[1].(object)["realmRoles"] = []any{"platform_admin"} },
		func(r object) {
			mapping := r["clientScopeMappings"].(object)["realm-management"].([]any)[0].(object)
			mapping["roles"] = append(mapping["roles"].([]any), "manage-clients")
		},
		func(r object) {
			r["clientScopeMappings"].(object)["account"] = []any{object{"client": "app", "roles": []any{"manage-account"}}}
		},
	},
}

// TestEveryRuleNotices breaks the realm in every way that the rules are there for.
func TestEveryRuleNotices(t *testing.T) {
	t.Parallel()
	for _, rule := range realm.Rules() {
		if len(breaks[rule]) == 0 {
			t.Errorf("nothing shows that the rule %q notices anything", rule)
		}
	}
	for rule, changes := range breaks {
		for n, change := range changes {
			findings := lintAfter(t, change)
			if !slices.ContainsFunc(findings, func(f realm.Finding) bool { return f.Rule == rule }) {
				t.Errorf("%s, change %d: nobody noticed; found %v", rule, n, findings)
			}
		}
	}
}

// The demo is what production must not be: the linter has to say so.
func TestTheDemoWouldNotPass(t *testing.T) {
	t.Parallel()
	merged, err := realm.Merge(production, demo)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := realm.Lint(merged)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, f := range findings {
		if !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
		if strings.Contains(f.Detail, "demo-provisioner") {
			t.Errorf("a finding shows the secret: %s", f)
		}
	}
	want := []string{"back-channel logout", "grants", "one-time codes", "passwords", "people", "redirects", "secrets", "sign-up"}
	if !slices.Equal(rules, want) {
		t.Errorf("found %v, want %v", rules, want)
	}
}

func TestLintRefusesWhatIsNoRealm(t *testing.T) {
	t.Parallel()
	var r object
	if err := json.Unmarshal([]byte(`{"clients":"none"}`), &r); err != nil {
		t.Fatal(err)
	}
	if _, err := realm.Lint(r); err == nil {
		t.Error("no error")
	}
}
