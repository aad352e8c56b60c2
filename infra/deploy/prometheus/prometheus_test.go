package prometheus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const root = "../../.."

// promtool runs Prometheus' own checker; the stack finds or installs it and sets PROMTOOL_BIN.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program := os.Getenv("PROMTOOL_BIN")
	if program == "" {
		t.Skip("NOT RUN: there is no promtool here (PROMTOOL_BIN names one; devstack exec --real finds it)")
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolAccepts(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"the configuration": {"check", "config", "--syntax-only", "prometheus.yml"}, // its file with the token is mounted
		"the alerts":        {"check", "rules", "alerts.yml"},
		"the alerts' tests": {"test", "rules", "alerts_test.yml"},
	} {
		t.Run(name, func(t *testing.T) { promtool(t, args...) })
	}
}

// Grafana's expressions are checked as what they become once its variables are filled in.
func TestPromtoolAcceptsTheDashboards(t *testing.T) {
	t.Parallel()
	boards, err := Dashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	for _, exprs := range boards {
		for _, e := range exprs {
			e = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(e)
			rules = append(rules, rule{fmt.Sprintf("panel:%d", len(rules)), e})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

func TestEveryAlertSaysWhatToDoAndIsTested(t *testing.T) {
	t.Parallel()
	rules, err := Rules(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Tests []struct {
			Cases []struct {
				Alert string `yaml:"alertname"`
				Want  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(text, &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, c := range test.Cases {
			if len(c.Want) > 0 {
				fires[c.Alert] = true
			} else {
				quiet[c.Alert] = true
			}
		}
	}
	if len(rules) < 20 {
		t.Errorf("only %d alerts: this test looks in the wrong place", len(rules))
	}
	for _, r := range rules {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s says not what it means", r.Alert)
		}
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: a test that it fires: %v; that it does not: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}

func TestWhatIsWatchedIsMeasuredAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	known, err := Documented(root)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Rules(root)
	if err != nil {
		t.Fatal(err)
	}
	boards, err := Dashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	check := func(where, expr string) {
		for _, name := range Names(expr, known) {
			shown[name] = true
			if known[name].Type == "" {
				t.Errorf("%s names %s, which is no metric", where, name)
			}
		}
	}
	for _, r := range rules {
		check(r.Alert, r.Expr)
	}
	for file, exprs := range boards {
		for _, e := range exprs {
			check(file, e)
		}
	}
	for name := range known {
		if !shown[name] {
			t.Errorf("%s is on no dashboard and in no alert", name)
		}
	}
}
