//go:build acceptance && local

package acceptance

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"encore.app/infra/devstack/cerbos"
)

// decisionPoint is one of the test's own, on a copy of the policies, that can be ended and begun again.
type decisionPoint struct {
	config cerbos.Config
	server *cerbos.Server
}

func newDecisionPoint(t *testing.T) *decisionPoint {
	t.Helper()
	settings, err := os.ReadFile("../devstack/cerbos.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "policies"), os.DirFS("../../policies")); err != nil {
		t.Fatal(err)
	}
	port := func() int {
		text, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	d := &decisionPoint{config: cerbos.Config{
		Program: must("CERBOS_BIN"), ConfigFile: filepath.Join(dir, "cerbos.yaml"), Settings: settings, Policies: filepath.Join(dir, "policies"),
		GRPCPort: port(), HTTPPort: port(), LogFile: filepath.Join(dir, "cerbos.log"), PIDFile: filepath.Join(dir, "cerbos.pid"), Logf: t.Logf,
	}}
	d.begin(t)
	t.Cleanup(func() { d.server.Stop() })
	return d
}

func (d *decisionPoint) begin(t *testing.T) {
	t.Helper()
	var err error
	if d.server, err = cerbos.Start(context.WithoutCancel(t.Context()), d.config); err != nil {
		t.Fatal(err)
	}
}

func (d *decisionPoint) env() []string {
	return []string{"CERBOS_ADDR=" + net.JoinHostPort("127.0.0.1", strconv.Itoa(d.config.GRPCPort)), "CERBOS_METRICS_URL=" + d.server.MetricsURL()}
}

// write puts a policy file in place at once.
func (d *decisionPoint) write(t *testing.T, name string, text []byte) {
	t.Helper()
	draft := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(draft, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(d.config.Policies, name)); err != nil {
		t.Fatal(err)
	}
}

type readiness struct {
	Status string
	Parts  map[string]struct{ Status, Detail string }
}

// While the decision point is away, what was allowed moments ago stays so for its time; everything else
// is 503 and nothing is allowed by it. Policies that do not load leave the last good ones deciding, and
// operators are told.
func TestNothingIsAllowedByAnOutage(t *testing.T) {
	pdp := newDecisionPoint(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: scratch(t), seed: true, unset: []string{"RABBITMQ_URL"}, env: pdp.env()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	owner, bob := signIn(t, adaApp), signIn(t, bobApp)
	projects := "/api/v1/app/orgs/" + acme + "/projects"
	create := func() reply {
		return on(a, t, owner, "POST", projects, map[string]any{"title": "t", "sensitivity": "internal", "pii": false})
	}
	seen, unseen := want[project](t, create(), http.StatusCreated), want[project](t, create(), http.StatusCreated)
	read := func(p project) reply { return on(a, t, bob, "GET", projects+"/"+p.ID, nil) }
	want[project](t, read(seen), http.StatusOK)

	pdp.server.Stop()
	away := func(what string, r reply) {
		t.Helper()
		wantFailure(t, r, http.StatusServiceUnavailable, "dependency_unavailable")
		got := want[struct{ Details struct{ Part string } }](t, r, http.StatusServiceUnavailable)
		if got.Details.Part != "cerbos" {
			t.Errorf("%s: %s", what, r.body)
		}
	}
	ended := time.Now()
	away("what nobody read", read(unseen))
	away("a change", create())
	away("a question", on(a, t, bob, "POST", "/api/v1/authz/check", map[string]any{"checks": []any{
		map[string]any{"resource": map[string]any{"kind": "doc", "org_id": acme}, "actions": []string{"delete"}}}}))
	remembered := 0
	eventually(t, 30*time.Second, "what was remembered is forgotten", func() bool {
		r := read(seen)
		if r.status == http.StatusOK {
			remembered++
			return false
		}
		away("what was read", r)
		return true
	})
	t.Logf("remembered for %s, in %d answers", time.Since(ended), remembered)
	eventually(t, 30*time.Second, "it says that it is not ready", func() bool {
		return on(a, t, "", "GET", "/readyz", nil).status == http.StatusServiceUnavailable
	})

	pdp.begin(t)
	back := time.Now()
	eventually(t, 30*time.Second, "it decides again", func() bool { return read(unseen).status == http.StatusOK })
	t.Logf("decides again %s after the decision point answered", time.Since(back))

	state := func() string {
		r := on(a, t, "", "GET", "/readyz", nil)
		if r.status != http.StatusOK {
			return "unavailable"
		}
		return want[readiness](t, r, http.StatusOK).Parts["cerbos"].Status
	}
	broken := func() string {
		m := regexp.MustCompile(`(?m)^tenantry_authz_policies_broken (\d)$`).FindSubmatch(on(a, t, "", "GET", "/metrics", nil).body)
		if m == nil {
			return ""
		}
		return string(m[1])
	}
	eventually(t, 30*time.Second, "it is ready", func() bool { return state() == "ready" && broken() == "0" })
	good, err := os.ReadFile(filepath.Join(pdp.config.Policies, "project.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	pdp.write(t, "project.yaml", append([]byte("broken: [\n"), good...))
	eventually(t, 30*time.Second, "operators are told", func() bool { return state() == "degraded" && broken() == "1" })
	want[project](t, create(), http.StatusCreated) // the last good policies decide
	detail := want[struct{ PDP struct{ Detail string } }](t, on(a, t, signIn(t, root), "GET", "/api/v1/admin/policies", nil), http.StatusOK)
	if detail.PDP.Detail == "" {
		t.Error("the list of policies does not say so")
	}
	pdp.write(t, "project.yaml", good)
	eventually(t, 30*time.Second, "it is ready again", func() bool { return state() == "ready" && broken() == "0" })
}
