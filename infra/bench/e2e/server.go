package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

const acme = "00000000-0000-7000-8000-0000000000ac"

// server is a process under test and the read that it is asked for.
type server struct {
	name, address, path, token string
	cmd                        *exec.Cmd
	done                       chan error
}

// start runs a server and returns once it answers probe.
func start(ctx context.Context, name, address, probe string, command []string, env ...string) (*server, error) {
	s := &server{name: name, address: address, cmd: exec.Command(command[0], command[1:]...), done: make(chan error, 1)}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get("http://" + address + probe); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		select {
		case err := <-s.done:
			return nil, fmt.Errorf("%s ended: %w", name, err)
		case <-ctx.Done():
			s.stop()
			return nil, fmt.Errorf("%s does not answer", name)
		case <-tick.C:
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// prepare signs a member in and makes the project that is read from then on.
func (s *server) prepare(issuer string) error {
	resp, err := http.PostForm(issuer+"/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"app"}, "username": {"ada@acme.test"}, "password": {"demo"}})
	if err != nil {
		return err
	}
	var signedIn struct {
		Token string `json:"access_token"`
	}
	if err := decode(resp, http.StatusOK, &signedIn); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	s.token = signedIn.Token
	projects := "/api/v1/app/orgs/" + acme + "/projects"
	req, err := http.NewRequest(http.MethodPost, "http://"+s.address+projects,
		bytes.NewBufferString(`{"title":"measured","body":"what a page of text would be","sensitivity":"internal","pii":false}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if resp, err = http.DefaultClient.Do(req); err != nil {
		return err
	}
	var made struct{ ID string }
	if err := decode(resp, http.StatusCreated, &made); err != nil {
		return fmt.Errorf("make a project: %w", err)
	}
	s.path = projects + "/" + made.ID
	return nil
}

func decode(resp *http.Response, status int, into any) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != status {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return json.Unmarshal(body, into)
}

// cpu is the processor time that the process has used.
func (s *server) cpu() (float64, error) {
	p, err := procfs.NewProc(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	stat, err := p.Stat()
	return stat.CPUTime(), err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
