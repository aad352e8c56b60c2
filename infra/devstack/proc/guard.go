package proc

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// guardScript waits for one line, which means that all is well. End of file means that the
// parent died without saying so: the group $1 gets signal $2, and SIGKILL five seconds later.
const guardScript = `read -r line && exit 0
kill -"$2" -"$1" 2>/dev/null
i=0
while [ $i -lt 50 ] && kill -0 -"$1" 2>/dev/null; do sleep 0.1; i=$((i+1)); done
kill -9 -"$1" 2>/dev/null
exit 0`

// guard ends a process group when this process dies.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File
}

func startGuard(pgid int, sig syscall.Signal) (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript, "devstack-guard", strconv.Itoa(pgid), strconv.Itoa(int(sig)))
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/" // holds no directory of the checkout busy
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // out of reach of a terminal's signals
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return &guard{cmd: cmd, pipe: w}, nil
}

// release tells the guard that its group is gone, and waits for it. A nil guard is fine.
func (g *guard) release() {
	if g == nil {
		return
	}
	_, _ = g.pipe.WriteString("gone\n") // a guard that somebody killed needs no telling
	g.pipe.Close()
	_ = g.cmd.Wait()
}
