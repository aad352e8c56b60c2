// Package stripemock runs Stripe's own stripe-mock: a server without state that knows the shape of
// every request and answer of Stripe's API, and refuses requests that do not have it. Tests hold the
// app's client and the stand-in (package stripe) to it.
package stripemock

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"encore.app/infra/devstack/proc"
)

// ServerVersion is the version that the stack runs: of those that the Go proxy has, the nearest to
// the API version that the app's client asks for. Later ones have no periods of subscriptions.
const ServerVersion = "0.162.0"

const readyWait = 20 * time.Second

// ErrNotReachable is returned where the server would have to be fetched and cannot be.
var ErrNotReachable = errors.New("stripe-mock cannot be fetched from the Go proxy")

// Fetch returns the path of the server below dir, which it fills where need be.
func Fetch(ctx context.Context, dir string, logf func(format string, args ...any)) (string, error) {
	path := filepath.Join(dir, "stripe-mock-"+ServerVersion)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	draft, err := os.MkdirTemp(dir, "go-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	logf("building stripe-mock %s from its Go module (once)", ServerVersion)
	cmd := exec.CommandContext(ctx, "go", "install", "-ldflags=-X main.version="+ServerVersion, "github.com/stripe/stripe-mock@v"+ServerVersion)
	cmd.Dir = draft
	cmd.Env = append(os.Environ(), "GOBIN="+draft, "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%w: %w\n%s", ErrNotReachable, err, out)
	}
	return path, os.Rename(filepath.Join(draft, "stripe-mock"), path)
}

// Config says where a server lives.
type Config struct {
	Program string
	Port    int
	LogFile string
	PIDFile string
	Logf    func(format string, args ...any)
}

// Server is a running stripe-mock.
type Server struct {
	*proc.Service
	url string
}

// Start runs a server on 127.0.0.1 and returns once it answers.
func Start(ctx context.Context, config Config) (*Server, error) {
	addr := "127.0.0.1:" + strconv.Itoa(config.Port)
	s := &Server{url: "http://" + addr}
	var err error
	s.Service, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{
			// It serves HTTPS whether it is wanted or not, at a port of everybody's unless told another.
			Name: "stripe-mock", Args: []string{config.Program, "-http-addr", addr, "-https-addr", "127.0.0.1:0"},
			Env: []string{"LC_ALL=C.UTF-8"}, PIDFile: config.PIDFile,
		},
		LogFile: config.LogFile, Logf: config.Logf, ReadyWait: readyWait,
		Ready: func(ctx context.Context) error {
			_, err := Version(ctx, s.url)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// URL is where Stripe's clients go.
func (s *Server) URL() string { return s.url }

// Version asks a server for its version.
func Version(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/v1/customers", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	version := resp.Header.Get("Stripe-Mock-Version")
	if resp.StatusCode != http.StatusOK || version == "" {
		return "", fmt.Errorf("it answers %s, not as stripe-mock does", resp.Status)
	}
	return version, nil
}
