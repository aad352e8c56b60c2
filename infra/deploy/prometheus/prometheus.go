// Package prometheus holds what watches the app: the scrape configuration, the alerts with their tests,
// and, for tests, the way from them and from the dashboards beside them to the metrics they name.
package prometheus

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Metric is a row of docs/metrics.md.
type Metric struct {
	Type   string
	Labels string // separated by commas
}

var row = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z]+) \\| ([^|]*) \\| ")

// Documented are the metrics that docs/metrics.md has, by name. root is that of the repository.
func Documented(root string) (map[string]Metric, error) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		return nil, err
	}
	out := map[string]Metric{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if _, twice := out[m[1]]; twice {
			return nil, fmt.Errorf("docs/metrics.md has %s twice", m[1])
		}
		out[m[1]] = Metric{Type: m[2], Labels: strings.NewReplacer("`", "", " ", "").Replace(m[3])}
	}
	return out, nil
}

// Rule is an alert.
type Rule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

// Rules are those of alerts.yml.
func Rules(root string) ([]Rule, error) {
	text, err := os.ReadFile(filepath.Join(root, "infra", "deploy", "prometheus", "alerts.yml"))
	if err != nil {
		return nil, err
	}
	var file struct{ Groups []struct{ Rules []Rule } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	var out []Rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out, nil
}

// Dashboards are the expressions of each dashboard's panels, by file.
func Dashboards(root string) (map[string][]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "infra", "deploy", "grafana", "*.json"))
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var board struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(text, &board); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, p := range board.Panels {
			for _, t := range p.Targets {
				out[filepath.Base(path)] = append(out[filepath.Base(path)], t.Expr)
			}
		}
	}
	return out, nil
}

var named = regexp.MustCompile(`\btenantry_[a-z0-9_]+`)

// Names are the app's metrics that an expression names. The parts of a histogram are named as it is.
func Names(expr string, known map[string]Metric) []string {
	out := named.FindAllString(expr, -1)
	for i, name := range out {
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			if base, cut := strings.CutSuffix(name, part); cut && known[base].Type == "histogram" {
				out[i] = base
			}
		}
	}
	return out
}
