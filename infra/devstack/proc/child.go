package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// DefaultStopWait is how long a child may take to end after its stop signal.
const DefaultStopWait = 10 * time.Second

// Command says what to run and how to end it.
type Command struct {
	Name string   // what messages call it
	Args []string // program and arguments
	Env  []string // the whole environment; nothing is inherited
	Dir  string   // working directory; "" is the parent's

	Stdin, Stdout, Stderr *os.File // nil is /dev/null

	User       *User          // nil runs as the parent does
	StopSignal syscall.Signal // 0 is SIGTERM
	StopWait   time.Duration  // 0 is DefaultStopWait
	PIDFile    string         // "" writes none
}

// User is the operating system user a child runs as.
type User struct {
	UID, GID uint32
	// Traverse lets the child pass through directories that its user may not enter:
	// a checkout below a private directory stays usable when servers drop root.
	Traverse bool
}

const capDACOverride = 1

// Child is one running process and its process group.
type Child struct {
	cmd   Command
	pid   int
	done  chan struct{}
	state *os.ProcessState // set before done closes
}

// Launch starts a child. What an earlier run left behind under the same pid file is ended first.
func Launch(c Command) (*Child, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("no command to run")
	}
	if c.StopSignal == 0 {
		c.StopSignal = syscall.SIGTERM
	}
	if c.StopWait == 0 {
		c.StopWait = DefaultStopWait
	}
	if c.PIDFile != "" {
		if _, err := EndStale(c.PIDFile); err != nil {
			return nil, err
		}
	}
	child := &Child{cmd: c, done: make(chan struct{})}
	started := make(chan error)
	go child.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return child, nil
}

// run starts the process and waits for it. Its OS thread is the parent that the kernel
// watches, so the goroutine keeps it until the child is gone.
func (c *Child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := c.exec()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	c.pid = cmd.Process.Pid
	guard, err := startGuard(c.pid, c.cmd.StopSignal)
	if err == nil && c.cmd.PIDFile != "" {
		err = writePIDFile(c.cmd.PIDFile, c.pid, c.cmd.StopSignal)
	}
	if err != nil {
		signalGroup(c.pid, syscall.SIGKILL)
		_ = cmd.Wait() // the error that matters is the one that stopped us
		guard.release()
		started <- err
		return
	}
	started <- nil

	_ = cmd.Wait() // ProcessState says how it ended
	c.drain()
	guard.release()
	if c.cmd.PIDFile != "" {
		_ = os.Remove(c.cmd.PIDFile)
	}
	c.state = cmd.ProcessState
	close(c.done)
}

// drain ends what the child leaves behind in its group: a wrapper such as a shell may be gone
// while the program that it ran still shuts down.
func (c *Child) drain() {
	signalGroup(c.pid, c.cmd.StopSignal)
	deadline := time.Now().Add(c.cmd.StopWait)
	for syscall.Kill(-c.pid, 0) == nil {
		if time.Now().After(deadline) {
			signalGroup(c.pid, syscall.SIGKILL)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (c *Child) exec() *exec.Cmd {
	cmd := exec.Command(c.cmd.Args[0], c.cmd.Args[1:]...)
	cmd.Env, cmd.Dir = c.cmd.Env, c.cmd.Dir
	// A typed nil in an interface would not be /dev/null.
	if c.cmd.Stdin != nil {
		cmd.Stdin = c.cmd.Stdin
	}
	if c.cmd.Stdout != nil {
		cmd.Stdout = c.cmd.Stdout
	}
	if c.cmd.Stderr != nil {
		cmd.Stderr = c.cmd.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: c.cmd.StopSignal}
	if u := c.cmd.User; u != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
		if u.Traverse {
			cmd.SysProcAttr.AmbientCaps = []uintptr{capDACOverride}
		}
	}
	return cmd
}

// PID is the process id, which is also the id of the child's process group.
func (c *Child) PID() int { return c.pid }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// ExitCode is how the child ended, 128 plus the signal's number if a signal ended it.
// It waits for the end.
func (c *Child) ExitCode() int {
	<-c.done
	if ws, ok := c.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return c.state.ExitCode()
}

// Signal sends a signal to the child's process group.
func (c *Child) Signal(sig syscall.Signal) {
	select {
	case <-c.done: // the id may belong to somebody else by now
	default:
		signalGroup(c.pid, sig)
	}
}

// Stop asks the child to end, insists after its StopWait, and returns when it is gone.
func (c *Child) Stop() {
	c.Signal(c.cmd.StopSignal)
	select {
	case <-c.done:
		return
	case <-time.After(c.cmd.StopWait):
	}
	c.Signal(syscall.SIGKILL)
	<-c.done
}

// Output runs a command to its end and returns what it wrote to both streams.
// The error, if any, carries the last lines of it.
func Output(c Command) (string, error) {
	out, err := os.CreateTemp("", "devstack-*.log")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	c.Stdout, c.Stderr = out, out
	child, err := Launch(c)
	if err != nil {
		return "", err
	}
	code := child.ExitCode()
	text, err := os.ReadFile(out.Name())
	if err != nil {
		return "", err
	}
	if code != 0 {
		return string(text), &ExitError{Name: c.Name, Code: code, Tail: lastLines(string(text), tailLines)}
	}
	return string(text), nil
}

// ExitError is a child that ended when it should not have.
type ExitError struct {
	Name string
	Code int
	Tail string // the last lines it wrote
}

func (e *ExitError) Error() string {
	msg := fmt.Sprintf("%s ended with exit code %d", e.Name, e.Code)
	if e.Tail != "" {
		msg += "; it said:\n  " + strings.ReplaceAll(e.Tail, "\n", "\n  ")
	}
	return msg
}

// signalGroup reaches every process of a group; that it may be gone already is fine.
func signalGroup(pgid int, sig syscall.Signal) { _ = syscall.Kill(-pgid, sig) }
