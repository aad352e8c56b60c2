// Command mutate shows what the policies' tests are worth: it drops each rule, turns each rule's
// effect around and takes each rule's condition away, and counts how many of these mistakes the
// tests notice. CERBOS_BIN names the cerbos binary; it runs in the directory of the bundle.
//
// Policies do not depend on each other and each has a suite of its own, so one run carries one
// mistake in every policy.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// enough is the share of mistakes, in percent, that the tests must notice.
const enough = 95

// atOnce is how many runs go side by side.
const atOnce = 2

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run() error {
	program := os.Getenv("CERBOS_BIN")
	if program == "" {
		return errors.New("CERBOS_BIN is not set: name the cerbos binary")
	}
	byPolicy, err := mutants()
	if err != nil {
		return err
	}
	rounds := 0
	for _, all := range byPolicy {
		rounds = max(rounds, len(all))
	}
	var (
		wait    sync.WaitGroup
		slots   = make(chan struct{}, atOnce)
		results = make([]round, rounds)
	)
	for n := range rounds {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[n] = try(program, byPolicy, n)
		})
	}
	wait.Wait()
	return report(results)
}

func report(results []round) error {
	var survivors []string
	total := 0
	for _, r := range results {
		if r.err != nil {
			return r.err
		}
		total += r.total
		survivors = append(survivors, r.survivors...)
	}
	slices.Sort(survivors)
	for _, s := range survivors {
		fmt.Println("not noticed:", s)
	}
	caught := total - len(survivors)
	fmt.Printf("%d of %d mistakes noticed (%.1f %%, at least %d %% is wanted)\n", caught, total, 100*float64(caught)/float64(total), enough)
	if caught*100 < total*enough {
		return errors.New("the tests notice too little")
	}
	return nil
}

// mutant is one policy with one mistake.
type mutant struct {
	what string
	text []byte
}

// mutants are those of every resource policy, by its name.
func mutants() (map[string][]mutant, error) {
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		return nil, err
	}
	out := map[string][]mutant{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		policy := strings.TrimSuffix(name, ".yaml")
		if _, err := os.Stat(suite(policy)); errors.Is(err, fs.ErrNotExist) {
			continue // roles, variables, the stamp
		}
		if out[policy], err = mutantsOf(policy, text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no policies here")
	}
	return out, nil
}

func suite(policy string) string { return filepath.Join("tests", policy+"_test.yaml") }

func mutantsOf(policy string, text []byte) ([]mutant, error) {
	var out []mutant
	count := len(rules(parse(text)).Content)
	for i := range count {
		for _, m := range []struct {
			what   string
			change func(rules *yaml.Node, i int) bool
		}{{"dropped", drop}, {"turned around", turn}, {"without its condition", uncondition}} {
			doc := parse(text)
			all := rules(doc)
			name := value(all.Content[i], "name").Value
			if !m.change(all, i) {
				continue
			}
			changed, err := yaml.Marshal(doc)
			if err != nil {
				return nil, err
			}
			out = append(out, mutant{policy + "#" + name + " " + m.what, changed})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("has no rules")
	}
	return out, nil
}

func parse(text []byte) *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Content) == 0 {
		return &yaml.Node{}
	}
	return doc.Content[0]
}

func rules(doc *yaml.Node) *yaml.Node { return value(value(doc, "resourcePolicy"), "rules") }

// value is that of a key; an empty node where there is none.
func value(of *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(of.Content); i += 2 {
		if of.Content[i].Value == key {
			return of.Content[i+1]
		}
	}
	return &yaml.Node{}
}

func drop(rules *yaml.Node, i int) bool {
	rules.Content = slices.Delete(rules.Content, i, i+1)
	return true
}

func turn(rules *yaml.Node, i int) bool {
	effect := value(rules.Content[i], "effect")
	if effect.Value == "EFFECT_DENY" {
		effect.Value = "EFFECT_ALLOW"
	} else {
		effect.Value = "EFFECT_DENY"
	}
	return true
}

func uncondition(rules *yaml.Node, i int) bool {
	rule := rules.Content[i]
	for k := 0; k+1 < len(rule.Content); k += 2 {
		if rule.Content[k].Value == "condition" {
			rule.Content = slices.Delete(rule.Content, k, k+2)
			return true
		}
	}
	return false
}

// round is what came of one mistake in every policy.
type round struct {
	total     int
	survivors []string
	err       error
}

func try(program string, byPolicy map[string][]mutant, n int) round {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return round{err: err}
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		return round{err: err}
	}
	made := map[string]string{} // policy → what is wrong with it
	for policy, all := range byPolicy {
		if n >= len(all) { // its mistakes are through: its tests need not run
			if err := os.Remove(filepath.Join(dir, suite(policy))); err != nil {
				return round{err: err}
			}
			continue
		}
		made[policy] = all[n].what
		if err := os.WriteFile(filepath.Join(dir, policy+".yaml"), all[n].text, 0o644); err != nil {
			return round{err: err}
		}
	}
	failed, err := failures(program, dir)
	r := round{total: len(made), err: err}
	for policy, what := range made {
		if !failed[policy] {
			r.survivors = append(r.survivors, what)
		}
	}
	return r
}

// failures are the policies whose suites fail.
func failures(program, dir string) (map[string]bool, error) {
	cmd := exec.Command(program, "compile", "--strict-evaluation", "--output=json", "--no-color", dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	var results struct {
		Suites []struct {
			File    string
			Summary struct{ OverallResult string }
		}
	}
	if err := json.Unmarshal(out, &results); err != nil || len(results.Suites) == 0 {
		return nil, fmt.Errorf("the mutants do not compile: %s", out)
	}
	failed := map[string]bool{}
	for _, s := range results.Suites {
		policy := strings.TrimSuffix(filepath.Base(s.File), "_test.yaml")
		failed[policy] = s.Summary.OverallResult != "RESULT_PASSED"
	}
	return failed, nil
}
