package devstack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bringUpOne runs a part through a stack that may require it.
func bringUpOne(t *testing.T, p plan, require ...string) (*stack, error) {
	t.Helper()
	s := &stack{config: Config{Env: Env{}, Require: require}, values: Env{}}
	return s, s.bringUp(t.Context(), p)
}

func TestAPartThatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		require []string
		lacked  bool
	}{
		"out of reach":               {&absentError{why: "no Maven Central"}, nil, true},
		"out of reach, and required": {&absentError{why: "no Maven Central"}, []string{"keycloak"}, false},
		"in reach and broken":        {errors.New("checksum"), nil, false},
	} {
		s, err := bringUpOne(t, plan{
			name: "keycloak", variable: "KEYCLOAK_URL", start: func(context.Context) (started, error) { return started{}, c.err },
		}, c.require...)
		if (err == nil) != c.lacked {
			t.Errorf("%s: %v", name, err)
		}
		if c.lacked && !strings.Contains(s.summary(), "could not have: keycloak (no Maven Central)") {
			t.Errorf("%s: %s", name, s.summary())
		}
	}
}

func TestAPartBesideTheCommand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ok   bool
		err  error
		says string
	}{
		"up":       {true, nil, "ran against: keycloak 26.7.3 (private server)"},
		"starting": {false, nil, "ran against: keycloak 26.7.3 (private server, not waited for)"},
		"failed":   {false, errors.New("out of memory"), "could not have: keycloak (did not start)"},
	} {
		s, err := bringUpOne(t, plan{name: "keycloak", variable: "KEYCLOAK_URL", start: func(context.Context) (started, error) {
			return started{
				value: "http://127.0.0.1:1", version: "26.7.3", how: "private server", stop: func() {},
				up: func() (bool, error) { return c.ok, c.err },
			}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.summary(), c.says) {
			t.Errorf("%s: %q, want %q", name, s.summary(), c.says)
		}
		if broken := s.broken(); (broken != nil) != (c.err != nil) {
			t.Errorf("%s: a run that ends well would say %v", name, broken)
		}
	}
}

func TestKeycloakHomeIsNoPlaceToGuess(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	s := &stack{config: Config{Env: Env{"KEYCLOAK_HOME": empty}, Real: true, throwAway: true, Root: t.TempDir()}, values: Env{}}
	s.data = &dataDir{path: filepath.Join(empty, "data")}
	if _, err := s.planKeycloak().start(t.Context()); err == nil || !strings.Contains(err.Error(), "KEYCLOAK_HOME") {
		t.Errorf("%v does not name KEYCLOAK_HOME", err)
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}
