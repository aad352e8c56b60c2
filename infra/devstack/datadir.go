package devstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"encore.app/infra/devstack/proc"
)

// FindRoot returns the checkout that a directory is in: the nearest one above with encore.app.
func FindRoot(dir string) (string, error) {
	for start := dir; ; {
		if _, err := os.Stat(filepath.Join(dir, "encore.app")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("%s is not inside a checkout: no encore.app there or above", start)
		}
		dir = parent
	}
}

const (
	devName    = ".dev"
	toolsName  = "tools"
	lockName   = "lock"
	testPrefix = "test-"
)

// BusyError is a data directory that a running stack holds.
type BusyError struct {
	Dir string
	PID string
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("another devstack (process %s) runs from %s; stop that one first", e.PID, e.Dir)
}

// dataDir is a data directory that this process holds the lock of.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes a data directory, takes its lock and ends what a killed run left running.
func openDataDir(path string) (*dataDir, error) {
	d, err := lockDataDir(path)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"logs", "run", "objects"} {
		if err := os.MkdirAll(filepath.Join(path, name), 0o755); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

func lockDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	d := &dataDir{path: path, lock: lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(lock.Name()) // only for the message
		lock.Close()
		return nil, &BusyError{Dir: path, PID: strings.TrimSpace(string(pid))}
	}
	err = lock.Truncate(0)
	if err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err == nil {
		err = d.endStale()
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *dataDir) endStale() error {
	files, err := filepath.Glob(filepath.Join(d.path, "run", "*.pid*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := proc.EndStale(file); err != nil {
			return err
		}
	}
	return nil
}

func (d *dataDir) close() { d.lock.Close() }

func (d *dataDir) join(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

func (d *dataDir) log(name string) string { return d.join("logs", name+".log") }
func (d *dataDir) pid(name string) string { return d.join("run", name+".pid") }

// Reset removes the local data of a checkout, except fetched tools. It refuses while a stack
// runs from it.
func Reset(root string) error {
	dev := filepath.Join(root, devName)
	if _, err := os.Stat(dev); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d, err := lockDataDir(dev)
	if err != nil {
		return err
	}
	defer d.close()
	if err := sweepTests(dev); err != nil {
		return err
	}
	entries, err := os.ReadDir(dev)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case name == toolsName, name == lockName, strings.HasPrefix(name, testPrefix):
		default:
			if err := os.RemoveAll(filepath.Join(dev, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepTests removes the throw-away stacks of runs that were killed; those that run are left alone.
func sweepTests(dev string) error {
	dirs, err := filepath.Glob(filepath.Join(dev, testPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		d, err := lockDataDir(dir)
		var busy *BusyError
		if errors.As(err, &busy) {
			continue
		}
		if err != nil {
			return err
		}
		err = os.RemoveAll(dir)
		d.close()
		if err != nil {
			return err
		}
	}
	return nil
}
