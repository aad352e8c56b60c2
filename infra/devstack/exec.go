package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"encore.app/infra/devstack/proc"
)

// commandWait is how long a command may take to end when it is told to; the app's own
// graceful shutdown is shorter.
const commandWait = 15 * time.Second

// Exec runs a command against a throw-away stack and returns its exit code.
func Exec(ctx context.Context, config Config, command []string) (code int, err error) {
	config.throwAway = true
	dev := filepath.Join(config.Root, devName)
	if err := sweepTests(dev); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dev, 0o755); err != nil {
		return 0, err
	}
	data, err := openDataDir(filepath.Join(dev, testPrefix+strconv.Itoa(os.Getpid())))
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(data.path))
		data.close()
	}()
	config.Env = config.Env.With(Env{"APP_ENV": config.Env.or("APP_ENV", "test")})
	s, err := start(ctx, config, data)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	child, err := launch("command", command, s.environ(nil), "")
	if err != nil {
		return 0, err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		child.Stop()
	}
	code = child.ExitCode()
	fmt.Fprintln(config.Report, s.summary())
	if err := s.broken(); err != nil && code == 0 && ctx.Err() == nil {
		return 0, err
	}
	return code, nil
}

// launch runs a command of the caller's with this process's output, in the current directory.
// It is stopped as a terminal would do it, which wrappers such as `go run` pass on and wait for.
func launch(name string, command, env []string, pidFile string) (*proc.Child, error) {
	return proc.Launch(proc.Command{
		Name: name, Args: command, Env: env, PIDFile: pidFile,
		StopSignal: syscall.SIGINT, StopWait: commandWait,
		Stdin: pipedInput(), Stdout: os.Stdout, Stderr: os.Stderr,
	})
}

// pipedInput is standard input unless that is a terminal: the command's process group is not the
// terminal's own, so reading from it would halt the command.
func pipedInput() *os.File {
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return nil
	}
	return os.Stdin
}
