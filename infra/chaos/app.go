package main

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"encore.app/infra/devstack/proc"
)

// again is how soon a process of the app starts again, as an orchestrator would have it.
const again = 500 * time.Millisecond

// app is one process of the app that starts again whenever it ends.
type app struct {
	mu      sync.Mutex
	child   *proc.Child
	ending  bool
	endings chan struct{}
	done    sync.WaitGroup
}

func startApp(dir, name, binary, roles string, env []string) (*app, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	a := &app{endings: make(chan struct{})}
	command := proc.Command{Name: name, Args: []string{binary, "--role", roles}, Env: env, Dir: dir, Stdout: log, Stderr: log, PIDFile: filepath.Join(dir, name+".pid")}
	if err := a.launch(command); err != nil {
		return nil, err
	}
	a.done.Go(func() {
		defer log.Close()
		a.keep(command)
	})
	return a, nil
}

func (a *app) launch(c proc.Command) error {
	child, err := proc.Launch(c)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.child = child
	return nil
}

// keep starts the process again until stop. One that cannot start, because what it needs is dead as
// well, ends by itself and comes round again.
func (a *app) keep(c proc.Command) {
	for {
		a.mu.Lock()
		child := a.child
		a.mu.Unlock()
		select {
		case <-child.Done():
		case <-a.endings:
			child.Stop()
			return
		}
		select {
		case <-time.After(again):
		case <-a.endings:
			return
		}
		if err := a.launch(c); err != nil {
			continue // the old child is done, so this comes round again
		}
	}
}

func (a *app) pid() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.child.Done():
		return 0
	default:
		return a.child.PID()
	}
}

func (a *app) stop() {
	a.mu.Lock()
	if !a.ending {
		a.ending = true
		close(a.endings)
	}
	a.mu.Unlock()
	a.done.Wait()
}
