// Package redis runs a private Redis server from the system's own binary, and asks one for its version.
package redis

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"encore.app/infra/devstack/proc"

	client "github.com/redis/go-redis/v9"
)

const readyWait = 15 * time.Second

// ErrNotInstalled is returned where there is no redis-server.
var ErrNotInstalled = errors.New("redis-server is not installed")

// Config says where a server lives.
type Config struct {
	Dir     string // its append-only file; made if need be
	LogFile string
	PIDFile string
	Port    int
	Logf    func(format string, args ...any)
}

// Server is a running server.
type Server struct {
	*proc.Service
	url string
}

// Installed reports whether the system has a server.
func Installed() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}

// Start runs the server on 127.0.0.1 and returns once it answers.
func Start(ctx context.Context, config Config) (*Server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrNotInstalled
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Server{url: "redis://127.0.0.1:" + strconv.Itoa(config.Port) + "/0"}
	s.Service, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{
			Name: "redis",
			Args: []string{program, "--bind", "127.0.0.1", "--port", strconv.Itoa(config.Port),
				"--dir", config.Dir, "--save", "", "--appendonly", "yes"},
			Env:     []string{"PATH=/usr/bin:/bin"},
			PIDFile: config.PIDFile,
		},
		LogFile: config.LogFile, Logf: config.Logf,
		Ready: func(ctx context.Context) error {
			_, err := Version(ctx, s.url)
			return err
		},
		ReadyWait: readyWait,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// URL is what clients connect with.
func (s *Server) URL() string { return s.url }

// Version asks the server at a redis:// URL for its version.
func Version(ctx context.Context, url string) (string, error) {
	options, err := client.ParseURL(url)
	if err != nil {
		return "", err
	}
	options.MaxRetries = -1
	c := client.NewClient(options)
	defer c.Close()
	info, err := c.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(info, "redis_version:")
	if !found {
		return "", errors.New("the server gives no redis_version")
	}
	version, _, _ := strings.Cut(rest, "\r\n")
	return version, nil
}
