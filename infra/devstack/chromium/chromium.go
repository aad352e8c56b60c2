// Package chromium runs the WebDriver server of the system's Chromium, for tests that sign in as a
// person does. The browser itself is started by the tests, one a session.
package chromium

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"encore.app/infra/devstack/proc"
)

const (
	readyWait = 30 * time.Second
	maxStatus = 64 << 10
)

// Packages are what Debian calls the browser and its driver.
var Packages = []string{"chromium", "chromium-driver"}

// ErrNotInstalled is returned where there is no browser or no driver.
var ErrNotInstalled = errors.New("chromium or chromedriver is not installed")

// Config says where a driver lives.
type Config struct {
	Home    string // for what the browser leaves behind; made by the caller
	Port    int
	LogFile string
	PIDFile string
	Logf    func(format string, args ...any)
}

// Driver is a running chromedriver.
type Driver struct {
	*proc.Service
	url string
}

// Installed reports whether the system has a browser and its driver.
func Installed() bool {
	_, errBrowser := exec.LookPath("chromium")
	_, errDriver := exec.LookPath("chromedriver")
	return errBrowser == nil && errDriver == nil
}

// Start runs the driver on 127.0.0.1 and returns once it takes sessions.
func Start(ctx context.Context, config Config) (*Driver, error) {
	program, err := exec.LookPath("chromedriver")
	if err != nil || !Installed() {
		return nil, ErrNotInstalled
	}
	d := &Driver{url: "http://127.0.0.1:" + strconv.Itoa(config.Port)}
	d.Service, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{
			Name: "chromedriver", Args: []string{program, "--port=" + strconv.Itoa(config.Port)},
			Env:     []string{"PATH=/usr/bin:/bin", "HOME=" + config.Home, "TMPDIR=" + config.Home, "LC_ALL=C.UTF-8"},
			PIDFile: config.PIDFile,
		},
		LogFile: config.LogFile, Logf: config.Logf, ReadyWait: readyWait,
		Ready: func(ctx context.Context) error {
			_, err := Version(ctx, d.url)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// URL is where WebDriver clients go.
func (d *Driver) URL() string { return d.url }

// Version asks a WebDriver server whether it takes sessions (WebDriver §8.3) and for its version.
func Version(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/status", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var status struct {
		Value struct {
			Ready bool `json:"ready"`
			Build struct {
				Version string `json:"version"`
			} `json:"build"`
		} `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&status); err != nil {
		return "", fmt.Errorf("its status cannot be read: %w", err)
	}
	if !status.Value.Ready {
		return "", errors.New("it takes no sessions")
	}
	version, _, _ := strings.Cut(status.Value.Build.Version, " ")
	return version, nil
}
