//go:build readme

package readme

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const root = "../.."

// within bounds the start on a machine that builds everything for the first time.
const within = 10 * time.Minute

var (
	block    = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	variable = regexp.MustCompile("(?m)^\\| `([A-Z][A-Z0-9_]*)` \\|")
	target   = regexp.MustCompile(`(?m)^make ([a-z-]+)`)
	reason   = regexp.MustCompile(`"reason": ?"([a-z_]+)"`)
)

func TestEveryCommandOfTheReadmeRuns(t *testing.T) {
	text := read(t, "README.md")
	blocks := block.FindAllStringSubmatch(text, -1)
	if len(blocks) < 5 || strings.TrimSpace(blocks[0][1]) != "make run" {
		t.Fatalf("the README has %d sh blocks, and the first must be make run", len(blocks))
	}
	dir := checkout(t)
	api, issuer := freeAddress(t), freeAddress(t)
	run(t, dir, api, issuer)

	moved := strings.NewReplacer("127.0.0.1:4000", api, "127.0.0.1:8180", issuer)
	var script strings.Builder
	for i, b := range blocks[1:] {
		code := b[1]
		for _, m := range target.FindAllStringSubmatch(code, -1) {
			// What takes minutes is proven elsewhere; here, that there is such a command.
			if out, err := command(t, dir, "make", "-n", m[1]).CombinedOutput(); err != nil {
				t.Errorf("make %s: %v\n%s", m[1], err, out)
			}
		}
		code = target.ReplaceAllString(code, ": make $1")
		fmt.Fprintf(&script, "echo '== block %d'\n%s\n", i+2, moved.Replace(code))
	}
	cmd := command(t, dir, "bash", "-euo", "pipefail", "-c", script.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := bytes.Count(out, []byte("== block ")); n != len(blocks)-1 {
		t.Errorf("%d of %d blocks ran\n%s", n, len(blocks)-1, out)
	}
	for _, want := range []string{"bob@acme.test", "Heart atlas", `"next_cursor"`, "tenantry/audit/"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("nothing printed %q:\n%s", want, out)
		}
	}
	var refused []string
	for _, m := range reason.FindAllSubmatch(out, -1) {
		refused = append(refused, string(m[1]))
	}
	if !slices.Equal(refused, []string{"wrong_audience"}) { // the one that the README shows on purpose
		t.Errorf("refused with %v:\n%s", refused, out)
	}
}

// Every file that the README leads to is there.
func TestTheReadmesLinksLeadSomewhere(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(links) < 5 {
		t.Fatalf("found only %d links", len(links))
	}
	for _, m := range links {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Error(err)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkout copies what git knows of the project, so that nothing local helps.
func checkout(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "readme") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as somebody else
		t.Fatal(err)
	}
	names, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted and not yet committed
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(read(t, name)), info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command is one in the copy, in an environment that has none of the project's variables but the
// server that was fetched already.
func command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	unset := []string{"GOWORK", "GOFLAGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CI"}
	for _, m := range variable.FindAllStringSubmatch(read(t, "docs/environment.md"), -1) {
		if m[1] != "CERBOS_BIN" {
			unset = append(unset, m[1])
		}
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if key, _, _ := strings.Cut(v, "="); !slices.Contains(unset, key) {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// run is make run until the test ends, by what a terminal's Ctrl-C sends.
func run(t *testing.T, dir, api, issuer string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(api)
	cmd := command(t, dir, "make", "run")
	cmd.Env = append(cmd.Env, "PORT="+port, "ISSUER_ADDR="+issuer)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Error("Ctrl-C did not end make run within a minute")
		}
		if t.Failed() {
			t.Logf("make run:\n%s", out.Bytes())
		}
	})
	deadline, tick := time.After(within), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			t.Fatalf("make run ended:\n%s", out.Bytes())
		case <-deadline:
			t.Fatal("make run did not get ready")
		case <-tick.C:
		}
		if resp, err := http.Get("http://" + api + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
