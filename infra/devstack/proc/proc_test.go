//go:build !encore_app

// These tests start their own binary again, which is something that a binary built by Encore cannot be.

package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests; none is expected to take long.
const patience = 20 * time.Second

// family is a process with a child of its own, both of which print their ids and stay.
var family = []string{"/bin/sh", "-c", "sleep 600 & echo $$ $!; wait"}

func TestMain(m *testing.M) {
	if os.Getenv("PROC_TEST_PARENT") != "" {
		// The parent that TestKilledParentTakesAllAlong kills.
		if _, err := Launch(Command{Name: "family", Args: family, Env: os.Environ(), Stdout: os.Stdout}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script string
		want   int
	}{
		"good":   {"exit 0", 0},
		"bad":    {"exit 7", 7},
		"signal": {"kill -TERM $$", 128 + int(syscall.SIGTERM)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child := launch(t, Command{Args: []string{"/bin/sh", "-c", tc.script}})
			if got := child.ExitCode(); got != tc.want {
				t.Errorf("exit code %d, want %d", got, tc.want)
			}
		})
	}
}

func TestLaunchOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := Launch(Command{Name: "x", Args: []string{"/does/not/exist"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one that says that the program does not exist", err)
	}
	if _, err := Launch(Command{Name: "x"}); err == nil {
		t.Error("an empty command was launched")
	}
}

func TestStopTakesTheWholeGroup(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child := launch(t, Command{Args: family, Stdout: w})
	pids := readPIDs(t, r)
	child.Stop()
	awaitGone(t, pids)
}

func TestStopInsists(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child := launch(t, Command{
		Args:   []string{"/bin/sh", "-c", "trap '' TERM; echo $$; while :; do sleep 600; done"},
		Stdout: w, StopWait: 50 * time.Millisecond,
	})
	readPIDs(t, r) // the trap is set
	child.Stop()
	if got, want := child.ExitCode(), 128+int(syscall.SIGKILL); got != want {
		t.Errorf("exit code %d, want %d", got, want)
	}
}

// TestWrapperMayEndFirst has a shell that a signal ends at once, and a program in it that takes
// its time to end well.
func TestWrapperMayEndFirst(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "ended-well")
	program := "trap 'sleep 0.3; touch " + mark + "; exit' TERM; echo $$; while :; do sleep 0.1; done"
	child := launch(t, Command{Args: []string{"/bin/sh", "-c", `sh -c "$1"; exit 0`, "wrapper", program}, Stdout: w})
	readPIDs(t, r) // the trap is set
	child.Stop()
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the program did not come to its end: %v", err)
	}
}

func TestKilledParentTakesAllAlong(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), "PROC_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pids := readPIDs(t, out)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	awaitGone(t, pids)
}

func TestEndStale(t *testing.T) {
	t.Parallel()
	sleeper := func(t *testing.T) *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	t.Run("left over", func(t *testing.T) {
		t.Parallel()
		cmd, file := sleeper(t), filepath.Join(t.TempDir(), "x.pid")
		if err := writePIDFile(file, cmd.Process.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if ended, err := EndStale(file); err != nil || !ended {
			t.Fatalf("EndStale = %v, %v", ended, err)
		}
		if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
			t.Errorf("the process ended with %v, want its stop signal", err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the pid file is still there (%v)", err)
		}
	})
	t.Run("somebody else's by now", func(t *testing.T) {
		t.Parallel()
		cmd, file := sleeper(t), filepath.Join(t.TempDir(), "x.pid")
		if err := writePIDFile(file, cmd.Process.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		start, err := startTime(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(string(text), `"`+start+`"`, `"1"`, 1)
		if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if ended, err := EndStale(file); err != nil || ended {
			t.Fatalf("EndStale = %v, %v", ended, err)
		}
		if _, err := startTime(cmd.Process.Pid); err != nil {
			t.Errorf("a process that the file does not name was ended: %v", err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Run("cut short", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "x.pid")
		if err := os.WriteFile(file, []byte(`{"pid":`), 0o600); err != nil {
			t.Fatal(err)
		}
		if ended, err := EndStale(file); err != nil || ended {
			t.Errorf("EndStale = %v, %v", ended, err)
		}
	})
}

func TestServiceComesBack(t *testing.T) {
	t.Parallel()
	said := make(chan string, 10)
	spec := serviceSpec(t, "exec sleep 600")
	spec.Logf = func(format string, args ...any) { said <- fmt.Sprintf(format, args...) }
	s, err := Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	first := s.PID()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ended with exit code 137; starting it again", "serves again"} {
		select {
		case got := <-said:
			if !strings.Contains(got, want) {
				t.Errorf("it said %q, want something with %q", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("nothing said %q", want)
		}
	}
	second := s.PID()
	if second == first {
		t.Error("the process id is still the old one")
	}
	s.Stop()
	awaitGone(t, []int{second})
}

func TestStartSaysWhatTheChildSaid(t *testing.T) {
	t.Parallel()
	spec := serviceSpec(t, "echo the reason >&2; exit 3")
	spec.Ready = func(context.Context) error { return errors.New("not yet") }
	_, err := Start(context.Background(), spec)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || exit.Tail != "the reason" {
		t.Errorf("error %v, want exit code 3 and the log's last line", err)
	}
}

func TestStartGivesUp(t *testing.T) {
	t.Parallel()
	spec := serviceSpec(t, "echo $$; exec sleep 600")
	spec.ReadyWait = 300 * time.Millisecond
	spec.Ready = func(context.Context) error { return errors.New("never") }
	if _, err := Start(context.Background(), spec); err == nil || !strings.Contains(err.Error(), "never") {
		t.Fatalf("error %v, want the probe's", err)
	}
	pid, err := strconv.Atoi(Tail(spec.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	awaitGone(t, []int{pid})
}

func serviceSpec(t *testing.T, script string) Spec {
	return Spec{
		Command:   Command{Name: "service", Args: []string{"/bin/sh", "-c", script}, Env: os.Environ()},
		LogFile:   filepath.Join(t.TempDir(), "service.log"),
		Ready:     func(context.Context) error { return nil },
		ReadyWait: patience,
		Logf:      t.Logf,
	}
}

func launch(t *testing.T, c Command) *Child {
	t.Helper()
	c.Name, c.Env = "child", os.Environ()
	child, err := Launch(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Stop)
	return child
}

// readPIDs reads one line of process ids.
func readPIDs(t *testing.T, r interface{ Read([]byte) (int, error) }) []int {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(line) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, pid := range pids {
		for {
			if _, err := startTime(pid); err != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("process %d is still there", pid)
				break
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}
