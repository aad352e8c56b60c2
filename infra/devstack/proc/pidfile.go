package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// record is what a pid file holds. A process id alone may belong to somebody else after a
// while; together with the boot and the start time it cannot.
type record struct {
	PID    int            `json:"pid"`
	Boot   string         `json:"boot"`
	Start  string         `json:"start"`
	Signal syscall.Signal `json:"signal"`
}

// staleWait is how long a left-over may take to end before it is killed.
const staleWait = 5 * time.Second

func writePIDFile(path string, pid int, sig syscall.Signal) error {
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	text, err := json.Marshal(record{PID: pid, Boot: boot, Start: start, Signal: sig})
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// EndStale ends the process that a pid file of an earlier run names, if that very process is
// still alive, and removes the file. It reports whether there was one to end.
func EndStale(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var r record
	if json.Unmarshal(text, &r) != nil || r.PID <= 1 || !r.alive() {
		return false, os.Remove(path) // cut short, or nobody's any more
	}
	signalGroup(r.PID, r.Signal)
	if !r.goneWithin(staleWait) {
		signalGroup(r.PID, syscall.SIGKILL)
		if !r.goneWithin(staleWait) {
			return true, fmt.Errorf("process %d of an earlier run does not end (%s)", r.PID, path)
		}
	}
	return true, os.Remove(path)
}

func (r record) alive() bool {
	boot, err := bootID()
	if err != nil || boot != r.Boot {
		return false
	}
	start, err := startTime(r.PID)
	return err == nil && start == r.Start
}

func (r record) goneWithin(d time.Duration) bool {
	deadline := time.Now().Add(d)
	for r.alive() {
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(20 * time.Millisecond)
	}
	return true
}

// startTime is when a process started, in clock ticks since boot; an ended one that nobody
// has waited for counts as gone.
func startTime(pid int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The second field is the program's name in brackets and may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}
