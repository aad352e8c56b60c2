package principal

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func attrs(t *testing.T, p *Principal) map[string]any {
	t.Helper()
	form, err := p.Cerbos()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for k, v := range form.Proto().GetAttr() {
		out[k] = v.AsInterface()
	}
	return out
}

func TestAttributesAreThoseOfTheVocabulary(t *testing.T) {
	t.Parallel()
	p := newAt(
		&Caller{UserID: "u1", Audience: "tenantry-app", RealmRoles: []string{"offline_access"}, MFALevel: 2, AuthTime: noon},
		&Tenant{
			OrgID: "acme", Status: "active", Tier: "enterprise", Flags: []string{"b", "a"},
			OrgRoles: []string{"member", "billing", "member"},
			Teams:    []Team{{ID: "t2", Roles: []string{"member", "lead"}}, {ID: ""}},
		}, noon)
	want := map[string]any{
		"audience": "tenantry-app", "org_id": "acme", "org_roles": []any{"billing", "member"},
		"team_ids": []any{"t2"}, "team_roles": map[string]any{"t2": []any{"lead", "member"}},
		"license_tier": "enterprise", "feature_flags": []any{"a", "b"}, "mfa_level": 2.0,
		"risk": []any{}, "impersonator_id": "", "write": true,
	}
	if got := attrs(t, p); !reflect.DeepEqual(got, want) {
		t.Errorf("attributes\n got %v\nwant %v", got, want)
	}
	if got, want := p.Roles(), []string{"offline_access", "user"}; !slices.Equal(got, want) {
		t.Errorf("roles %v, want %v", got, want)
	}
}

func TestOutsideAnOrganisationNothingIsMissing(t *testing.T) {
	t.Parallel()
	inside := attrs(t, New(&Caller{UserID: "u"}, &Tenant{OrgID: "o", Status: "active"}))
	outside := attrs(t, New(&Caller{UserID: "u"}, nil))
	for k := range inside {
		if _, ok := outside[k]; !ok {
			t.Errorf("attribute %s is missing outside an organisation", k)
		}
	}
}

func TestRisks(t *testing.T) {
	t.Parallel()
	active := &Tenant{OrgID: "o", Status: "active"}
	cases := map[string]struct {
		caller Caller
		tenant *Tenant
		want   []any
	}{
		"none":              {Caller{AuthTime: noon.Add(-time.Hour)}, active, []any{}},
		"unknown sign-in":   {Caller{}, active, []any{}},
		"old sign-in":       {Caller{AuthTime: noon.Add(-StaleAuthAfter - time.Second)}, active, []any{"stale_auth"}},
		"impersonated":      {Caller{ImpersonatorID: "root"}, active, []any{"impersonated"}},
		"suspended":         {Caller{}, &Tenant{OrgID: "o", Status: "suspended"}, []any{"suspended_org"}},
		"status not loaded": {Caller{}, &Tenant{OrgID: "o"}, []any{"suspended_org"}},
		"no organisation":   {Caller{}, nil, []any{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.caller.UserID = "u"
			if got := attrs(t, newAt(&c.caller, c.tenant, noon))["risk"]; !reflect.DeepEqual(got, c.want) {
				t.Errorf("risk %v, want %v", got, c.want)
			}
		})
	}
}

func TestPlatformRolesStayWithPeopleActingAsThemselves(t *testing.T) {
	t.Parallel()
	admin := []string{"platform_admin"}
	cases := map[string]struct {
		caller Caller
		want   []string
		actor  string
	}{
		"staff":        {Caller{UserID: "u", RealmRoles: admin}, []string{"platform_admin", "user"}, "user"},
		"impersonated": {Caller{UserID: "u", RealmRoles: admin, ImpersonatorID: "x"}, []string{"user"}, "user"},
		"key":          {Caller{UserID: "u", RealmRoles: admin, APIKeyID: "k"}, []string{"api_key", "user"}, "api_key"},
		"realm role that is ours": {
			Caller{UserID: "u", RealmRoles: []string{"api_key", "system"}}, []string{"user"}, "user"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := New(&c.caller, nil)
			if !slices.Equal(p.Roles(), c.want) || p.ActorType() != c.actor {
				t.Errorf("got %v %s, want %v %s", p.Roles(), p.ActorType(), c.want, c.actor)
			}
		})
	}
}

func TestReadOnlyImpersonation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caller Caller
		want   bool
	}{
		"own session":  {Caller{UserID: "u"}, true},
		"impersonated": {Caller{UserID: "u", ImpersonatorID: "x"}, false},
		"with write":   {Caller{UserID: "u", ImpersonatorID: "x", Write: true}, true},
	} {
		if got := attrs(t, New(&c.caller, nil))["write"]; got != c.want {
			t.Errorf("%s: write %v, want %v", name, got, c.want)
		}
	}
}

func TestFingerprintFollowsWhatPoliciesSee(t *testing.T) {
	t.Parallel()
	sum := func(c Caller, tn Tenant) [32]byte {
		f, err := newAt(&c, &tn, noon).Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	base := Caller{UserID: "u", Audience: "tenantry-app"}
	org := Tenant{OrgID: "o", Status: "active", OrgRoles: []string{"member", "billing"}}
	same := sum(base, org)
	if got := sum(Caller{UserID: "u", Audience: "tenantry-app", SessionID: "s", Email: "e"},
		Tenant{OrgID: "o", Status: "active", OrgRoles: []string{"billing", "member"}}); got != same {
		t.Error("order of roles or an invisible field changed the fingerprint")
	}
	for name, got := range map[string][32]byte{
		"user":     sum(Caller{UserID: "v", Audience: "tenantry-app"}, org),
		"audience": sum(Caller{UserID: "u", Audience: "tenantry-org"}, org),
		"mfa":      sum(Caller{UserID: "u", Audience: "tenantry-app", MFALevel: 2}, org),
		"role":     sum(base, Tenant{OrgID: "o", Status: "active", OrgRoles: []string{"owner"}}),
		"status":   sum(base, Tenant{OrgID: "o", Status: "suspended", OrgRoles: []string{"member", "billing"}}),
	} {
		if got == same {
			t.Errorf("changing %s left the fingerprint unchanged", name)
		}
	}
}

// Two principals whose values run together in the same way are still two.
func TestFingerprintsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]string{}
	for name, of := range map[string]struct {
		id    string
		roles []string
		attrs []attribute
	}{
		"a, b":             {"u", []string{"a", "b"}, nil},
		"ab":               {"u", []string{"ab"}, nil},
		"id takes a role":  {"ua", []string{"b"}, nil},
		"none":             {"u", nil, nil},
		"key and value":    {"u", nil, []attribute{{"k", "v"}}},
		"longer key":       {"u", nil, []attribute{{"kv", ""}}},
		"list of one":      {"u", nil, []attribute{{"k", []string{"v"}}}},
		"list of two":      {"u", nil, []attribute{{"k", []string{"v", ""}}}},
		"team":             {"u", nil, []attribute{{"k", []Team{{ID: "v"}}}}},
		"team with a role": {"u", nil, []attribute{{"k", []Team{{ID: "v", Roles: []string{"w"}}}}}},
		"two teams":        {"u", nil, []attribute{{"k", []Team{{ID: "v"}, {ID: "w"}}}}},
		"number":           {"u", nil, []attribute{{"k", 1}}},
		"truth":            {"u", nil, []attribute{{"k", true}}},
		"number's text":    {"u", nil, []attribute{{"k", "1"}}},
	} {
		f, err := fingerprint(of.id, of.roles, of.attrs)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[f]; ok {
			t.Errorf("%s looks like %s", name, other)
		}
		seen[f] = name
	}
	if _, err := fingerprint("u", nil, []attribute{{"k", 1.5}}); err == nil {
		t.Error("an attribute that cannot be written was left out")
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	if FromContext(context.Background()) != nil {
		t.Error("an empty context has a principal")
	}
	p := System("sweeper")
	if got := FromContext(NewContext(context.Background(), p)); got != p {
		t.Errorf("got %v", got)
	}
	if p.ID() != "system:sweeper" || p.ActorType() != "system" || p.OrgID() != "" {
		t.Errorf("system principal is %s %s", p.ID(), p.ActorType())
	}
}
