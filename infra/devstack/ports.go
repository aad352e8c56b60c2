package devstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports are picked below the range that the kernel uses for outgoing connections, so that a
// remembered one is not taken by chance.
const (
	firstPort = 20000
	lastPort  = 32000
	portTries = 200
)

// PortError is an address that somebody else holds.
type PortError struct {
	Addr     string
	Variable string // moves it
}

func (e *PortError) Error() string {
	return fmt.Sprintf("%s is taken by another program; stop that one, or set %s to use another port", e.Addr, e.Variable)
}

// ports hands out the ports of one stack. A picked port is remembered, so that URLs stay the
// same from run to run.
type ports struct {
	file  string
	saved map[string]int
	taken map[int]bool
}

func loadPorts(file string) (*ports, error) {
	p := &ports{file: file, saved: map[string]int{}, taken: map[int]bool{}}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p.saved)
	}
	if err != nil {
		return nil, fmt.Errorf("the remembered ports cannot be read (remove the file to pick new ones): %s: %w", file, err)
	}
	return p, nil
}

// save remembers the picked ports.
func (p *ports) save() error {
	text, err := json.MarshalIndent(p.saved, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.file, append(text, '\n'), 0o644)
}

// fixed returns the port that a variable names, which has to be free; ok is false if it is unset.
func (p *ports) fixed(env Env, variable string) (port int, ok bool, err error) {
	value := env[variable]
	if value == "" {
		return 0, false, nil
	}
	port, err = strconv.Atoi(value)
	if err != nil || port < 1 || port > 65535 {
		return 0, false, fmt.Errorf("%s is %q, not a port", variable, value)
	}
	p.taken[port] = true
	return port, true, checkFree(loopback(port), variable)
}

// pick returns the remembered port of a name if it is still free, else a new one.
func (p *ports) pick(name string) (int, error) {
	port := p.saved[name]
	for try := 0; port == 0 || p.taken[port] || !free(loopback(port)); try++ {
		if try == portTries {
			return 0, fmt.Errorf("no free port for %s between %d and %d", name, firstPort, lastPort)
		}
		port = firstPort + rand.IntN(lastPort-firstPort)
	}
	p.taken[port] = true
	p.saved[name] = port
	return port, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func checkFree(addr, variable string) error {
	if !free(addr) {
		return &PortError{Addr: addr, Variable: variable}
	}
	return nil
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	return true
}
