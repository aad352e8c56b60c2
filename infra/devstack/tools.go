package devstack

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// planPromtool is Prometheus' checker of rules, for their tests. It is a program, not a server.
func (s *stack) planPromtool() plan {
	p := plan{name: "promtool", variable: "PROMTOOL_BIN", check: promtoolVersion, absent: "--real finds one"}
	if s.config.Env[p.variable] != "" || !s.config.wantsReal(p.name) {
		return p
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		p.debian = []string{"prometheus"}
	}
	p.start = func(ctx context.Context) (started, error) {
		program, err := exec.LookPath("promtool")
		if err != nil {
			return started{}, err
		}
		version, err := promtoolVersion(ctx, program)
		if err != nil {
			return started{}, err
		}
		return started{value: program, version: version, how: "system's", stop: func() {}}, nil
	}
	return p
}

// promtoolVersion asks the program; its answer begins "promtool, version 2.42.0+ds".
func promtoolVersion(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", program, err)
	}
	words := strings.Fields(string(out))
	if len(words) < 3 || words[0] != "promtool," {
		return "", fmt.Errorf("%s is no promtool", program)
	}
	return words[2], nil
}
