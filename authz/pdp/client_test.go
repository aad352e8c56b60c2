package pdp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"encore.app/authz/pdp"
	"encore.app/authz/pdp/pdptest"
	"encore.app/authz/principal"
	"encore.app/policies"
)

func TestMain(m *testing.M) { os.Exit(pdptest.Main(m)) }

func client(tb testing.TB) *pdp.Client {
	tb.Helper()
	return clientOf(tb, pdptest.Addr())
}

func clientOf(tb testing.TB, addr string) *pdp.Client {
	tb.Helper()
	// Generous, because a loaded test machine is no reason for a failure.
	c, err := pdp.New(pdp.Config{Addr: addr, Deadline: 10 * time.Second, PolicyDigest: policies.Digest})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

const acme, globex, cardiology = "acme", "globex", "cardiology"

// member acts in acme as the roles given; edit changes caller and tenant before
// the principal is built.
func member(audience string, edit func(*principal.Caller, *principal.Tenant), roles ...string) *principal.Principal {
	c := &principal.Caller{UserID: "u1", Audience: audience, MFALevel: 1}
	t := &principal.Tenant{OrgID: acme, Status: "active", Tier: "enterprise", OrgRoles: roles}
	if edit != nil {
		edit(c, t)
	}
	return principal.New(c, t)
}

func staff(role string, mfa int) *principal.Principal {
	return principal.New(&principal.Caller{UserID: "s1", Audience: "tenantry-admin", RealmRoles: []string{role}, MFALevel: mfa}, nil)
}

func resource(kind string, edit map[string]any) pdp.Resource {
	attr := map[string]any{
		"org_id": acme, "team_id": "", "owner_id": "", "sensitivity": "internal", "pii": false,
		"org_status": "active", "license_tier": "enterprise", "org_roles": []any{}, "clinician_id": "",
	}
	for k, v := range edit {
		attr[k] = v
	}
	return pdp.Resource{Kind: kind, ID: "r1", Attr: attr}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	c := client(t)
	suspended := func(_ *principal.Caller, t *principal.Tenant) { t.Status = "suspended" }
	impersonated := func(c *principal.Caller, _ *principal.Tenant) { c.ImpersonatorID = "s1" }
	free := func(_ *principal.Caller, t *principal.Tenant) { t.Tier = "free" }
	everything := func(c *principal.Caller, t *principal.Tenant) {
		suspended(c, t)
		impersonated(c, t)
		free(c, t)
	}
	const app, org = "tenantry-app", "tenantry-org"
	cases := []struct {
		name   string
		p      *principal.Principal
		r      pdp.Resource
		action string
		want   string // first reason, or "" for allowed
	}{
		{"member reads", member(app, nil, "member"), resource("project", nil), "read", ""},
		{"no rule allows", member(app, nil, "guest"), resource("project", nil), "read", "policy_denied"},
		{"unknown action", member(app, nil, "owner"), resource("project", nil), "publish", "policy_denied"},
		{"other tenant", member(app, nil, "owner"), resource("project", map[string]any{"org_id": globex}), "read", "not_a_member"},
		{"other audience", member(org, nil, "owner"), resource("project", nil), "read", "wrong_audience"},
		{"suspended", member(app, suspended, "owner"), resource("project", nil), "update", "org_suspended"},
		{"impersonated", member(app, impersonated, "owner"), resource("project", nil), "update", "impersonation_readonly"},
		{"tier", member(app, free, "owner"), resource("patient_record", nil), "list", "upgrade_required"},
		{"second factor", member(app, nil, "owner"), resource("project", map[string]any{"pii": true}), "read", "mfa_required"},
		{"step-up", staff("platform_admin", 1), resource("org", nil), "org:suspend", "mfa_required"},
		{"stepped up", staff("platform_admin", 2), resource("org", nil), "org:suspend", ""},
		{"all at once, other tenant", member(org, everything, "guest"),
			resource("patient_record", map[string]any{"org_id": globex, "pii": true}), "update", "not_a_member"},
		{"all at once, other audience", member(org, everything, "guest"), resource("patient_record", map[string]any{"pii": true}), "update", "wrong_audience"},
		{"all at once", member(app, everything, "guest"), resource("patient_record", map[string]any{"pii": true}), "update", "org_suspended"},
		{"impersonated, tier, factor", member(app, func(c *principal.Caller, t *principal.Tenant) { impersonated(c, t); free(c, t) }, "guest"),
			resource("patient_record", map[string]any{"pii": true}), "update", "impersonation_readonly"},
		{"tier, factor", member(app, free, "guest"), resource("patient_record", map[string]any{"pii": true}), "update", "upgrade_required"},
		{"machine with two roles", member(org, func(c *principal.Caller, _ *principal.Tenant) { c.APIKeyID = "k1" }, "owner"),
			resource("api_key", nil), "create", "policy_denied"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d, err := c.Check(t.Context(), tc.p, tc.r, tc.action)
			if err != nil {
				t.Fatal(err)
			}
			if d.ID == "" || d.PolicyVersion != policies.Digest() || d.Cached != "" {
				t.Errorf("decision is not traceable: %+v", d)
			}
			if tc.want == "" {
				if !d.Allowed || len(d.Reasons) != 0 {
					t.Errorf("got %+v, want allowed", d)
				}
				return
			}
			if d.Allowed || !slices.Equal(d.Reasons, []string{tc.want}) {
				t.Errorf("got %+v, want %s", d, tc.want)
			}
		})
	}
}

func TestWhatIsNoDecisionIsAnError(t *testing.T) {
	t.Parallel()
	c := client(t)
	p := member("tenantry-app", nil, "owner")
	missing := resource("project", nil)
	delete(missing.Attr, "org_status")
	cases := map[string]struct {
		p      *principal.Principal
		r      pdp.Resource
		action string
		want   error
	}{
		"missing attribute":     {p, missing, "read", pdp.ErrInvalid},
		"unknown value":         {p, resource("project", map[string]any{"sensitivity": "secret"}), "read", pdp.ErrInvalid},
		"wrong type":            {p, resource("project", map[string]any{"pii": "yes"}), "read", pdp.ErrInvalid},
		"inconvertible":         {p, resource("project", map[string]any{"pii": struct{}{}}), "read", pdp.ErrInvalid},
		"unknown role":          {member("tenantry-app", nil, "king"), resource("project", nil), "read", pdp.ErrInvalid},
		"unknown audience":      {member("account", nil, "owner"), resource("project", nil), "read", pdp.ErrInvalid},
		"unknown kind":          {p, resource("invoice", nil), "read", pdp.ErrUnmatched},
		"kind of the boot test": {p, pdp.Resource{Kind: "canary", Attr: map[string]any{}}, "accept", pdp.ErrInvalid},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := c.Check(t.Context(), tc.p, tc.r, tc.action)
			if !errors.Is(err, tc.want) || d.Allowed {
				t.Errorf("got %+v, %v; want %v", d, err, tc.want)
			}
		})
	}
	if _, err := c.CheckAll(t.Context(), p, []pdp.Query{{Resource: resource("project", nil)}}); !errors.Is(err, pdp.ErrInvalid) {
		t.Errorf("no action: %v", err)
	}
	if _, err := c.Plan(t.Context(), p, "read", "invoice", map[string]any{"org_id": acme}); !errors.Is(err, pdp.ErrUnmatched) {
		t.Errorf("plan of an unknown kind: %v", err)
	}
	if _, err := c.Plan(t.Context(), p, "read", "project", map[string]any{"pii": "yes"}); !errors.Is(err, pdp.ErrInvalid) {
		t.Errorf("plan with a wrong type: %v", err)
	}
}

func TestCheckAllKeepsOrderBeyondOneCall(t *testing.T) {
	t.Parallel()
	c := client(t)
	queries := make([]pdp.Query, 120)
	for i := range queries {
		r := resource("project", nil)
		r.ID = fmt.Sprint(i % 7) // repeated ids must not be mixed up
		if i%3 == 0 {
			r.Attr["org_id"] = globex
		}
		queries[i] = pdp.Query{Resource: r, Actions: []string{"read", "delete"}}
	}
	got, err := c.CheckAll(t.Context(), member("tenantry-app", nil, "member"), queries)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(queries) {
		t.Fatalf("%d answers to %d questions", len(got), len(queries))
	}
	for i, d := range got {
		if d["read"].Allowed != (i%3 != 0) || d["delete"].Allowed {
			t.Errorf("query %d: %+v", i, d)
		}
	}
}

func TestReadyRefusesAnUnsafeServer(t *testing.T) {
	t.Parallel()
	if err := client(t).Ready(t.Context()); err != nil {
		t.Errorf("strict server: %v", err)
	}
	for name, settings := range map[string][]string{
		"lenient":    {"schema.enforcement=reject"},
		"misspelled": {"schema.enforcement=reject", "engines.strictEvaluation=true"},
		"no schemas": {"engine.strictEvaluation=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := pdptest.Start(settings...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
			if err := clientOf(t, server.Addr).Ready(t.Context()); !errors.Is(err, pdp.ErrUnsafe) {
				t.Errorf("got %v, want ErrUnsafe", err)
			}
		})
	}
}

func TestUnreachableServer(t *testing.T) {
	t.Parallel()
	c, err := pdp.New(pdp.Config{Addr: "unix:" + filepath.Join(t.TempDir(), "none.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if d, err := c.Check(t.Context(), member("tenantry-app", nil, "owner"), resource("project", nil), "read"); !errors.Is(err, pdp.ErrUnavailable) || d.Allowed {
		t.Errorf("got %+v, %v", d, err)
	}
	if err := c.Ready(t.Context()); !errors.Is(err, pdp.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(cancelled, member("tenantry-app", nil, "owner"), resource("project", nil), "read"); !errors.Is(err, context.Canceled) || errors.Is(err, pdp.ErrUnavailable) {
		t.Errorf("cancelled by the caller: %v", err)
	}
}

func TestDeadlineBoundsASilentServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "silent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() }) // accepts into its backlog and never answers
	c, err := pdp.New(pdp.Config{Addr: "unix:" + silent.Addr().String(), Deadline: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	start := time.Now()
	if _, err := c.Check(t.Context(), member("tenantry-app", nil, "owner"), resource("project", nil), "read"); !errors.Is(err, pdp.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s with a deadline of 50ms", took)
	}
}

func BenchmarkCheck(b *testing.B) {
	c, p, r := client(b), member("tenantry-app", nil, "member"), resource("project", nil)
	for b.Loop() {
		if d, err := c.Check(b.Context(), p, r, "read"); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	c, p := client(b), member("tenantry-app", nil, "member")
	for b.Loop() {
		if _, err := c.Plan(b.Context(), p, "read", "project", map[string]any{"org_id": acme}); err != nil {
			b.Fatal(err)
		}
	}
}
