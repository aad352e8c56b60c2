package proc

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	readyEvery = 25 * time.Millisecond // between two readiness probes
	probeWait  = 2 * time.Second       // for one of them
	firstPause = 500 * time.Millisecond
	longPause  = 30 * time.Second
	settled    = time.Minute // a child that lived this long starts with the first pause again
	tailLines  = 15
)

// Spec is a process to keep running.
type Spec struct {
	Command
	LogFile   string                          // both streams; the run before is kept as LogFile.1
	Ready     func(ctx context.Context) error // nil once it serves
	ReadyWait time.Duration
	Logf      func(format string, args ...any)
}

// Service is a process that is started again when it dies.
type Service struct {
	spec Spec
	log  *os.File
	ctx  context.Context // ends when the service is to stop
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	child *Child
}

// Start runs the process and returns once it is ready. If it ends before that, or is not ready
// in time, the error carries the last lines of its log.
func Start(ctx context.Context, spec Spec) (*Service, error) {
	if err := os.Rename(spec.LogFile, spec.LogFile+".1"); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	log, err := os.OpenFile(spec.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	spec.Stdout, spec.Stderr = log, log
	s := &Service{spec: spec, log: log, done: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	child, err := Launch(spec.Command)
	if err == nil {
		if err = s.awaitReady(ctx, child); err != nil {
			child.Stop()
		}
	}
	if err != nil {
		s.stop()
		log.Close()
		return nil, err
	}
	s.child = child
	go s.supervise()
	return s, nil
}

// PID is the id of the process as it runs now.
func (s *Service) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.PID()
}

// Stop ends the process and waits for it.
func (s *Service) Stop() {
	s.stop()
	<-s.done
}

func (s *Service) supervise() {
	defer close(s.done)
	defer s.log.Close()
	pause, born := firstPause, time.Now()
	for {
		select {
		case <-s.ctx.Done():
			s.child.Stop()
			return
		case <-s.child.Done():
		}
		if time.Since(born) > settled {
			pause = firstPause
		}
		s.spec.Logf("%s ended with exit code %d; starting it again in %s (its log: %s)",
			s.spec.Name, s.child.ExitCode(), pause, s.spec.LogFile)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause, born = min(2*pause, longPause), time.Now()
		child, err := Launch(s.spec.Command)
		if err != nil {
			s.spec.Logf("%v", err)
			continue // the old child is done, so this comes round again after the pause
		}
		s.mu.Lock()
		s.child = child
		s.mu.Unlock()
		if err := s.awaitReady(s.ctx, child); err == nil {
			s.spec.Logf("%s serves again", s.spec.Name)
		}
	}
}

func (s *Service) awaitReady(ctx context.Context, child *Child) error {
	ctx, cancel := context.WithTimeout(ctx, s.spec.ReadyWait)
	defer cancel()
	for {
		probe, done := context.WithTimeout(ctx, probeWait)
		err := s.spec.Ready(probe)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-child.Done():
			return &ExitError{Name: s.spec.Name, Code: child.ExitCode(), Tail: Tail(s.spec.LogFile)}
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w\n%s", s.spec.Name, err, Tail(s.spec.LogFile))
		case <-time.After(readyEvery):
		}
	}
}

// Tail returns the last lines of a log file, "" if there are none.
func Tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return lastLines(string(text), tailLines)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
