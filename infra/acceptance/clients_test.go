//go:build acceptance

package acceptance

import (
	"os"
	"os/exec"
	"testing"
)

// What a first integration does, over the clients that make clients has generated. Their own tests say
// what went wrong.
func TestTheGeneratedClientsWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dir  string
		args []string
	}{
		"Go":         {"../clients/go/happy", []string{"go", "test", "-count=1", "-tags", "happy", "./..."}},
		"TypeScript": {"../../.dev/clients/ts", []string{"npm", "test", "--silent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), c.args[0], c.args[1:]...)
			cmd.Dir = c.dir
			cmd.Env = append(os.Environ(), "BASE_URL="+target.base, "ISSUER="+target.issuer)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
