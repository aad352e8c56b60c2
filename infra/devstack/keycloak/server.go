package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"encore.app/infra/devstack/proc"
	"encore.app/infra/keycloak/realm"
)

const (
	readyWait    = 4 * time.Minute // the first start builds the server, on a machine that runs tests
	stopWait     = 15 * time.Second
	maxDiscovery = 1 << 20
)

// builtDir holds what Keycloak writes when it builds itself for its options.
const builtDir = "lib/quarkus"

// Config says where a server lives.
type Config struct {
	Home       string   // the distribution
	Built      string   // where a server keeps what it built for the next one; "" keeps nothing
	RealmFiles []string // laid over each other and imported
	Dir        string   // everything it writes; made if need be
	Port       int
	Management int // the port that Keycloak opens beside it
	LogFile    string
	PIDFile    string
	Env        []string // PATH, JAVA_HOME and the realm's TENANTRY_… are read from it
	Logf       func(format string, args ...any)
}

// Server is a running Keycloak.
type Server struct{ *proc.Service }

// URL is where the server of a config is reached, without a realm's path.
func (c Config) URL() string { return "http://127.0.0.1:" + strconv.Itoa(c.Port) }

// Start runs the server and returns once it serves the realm.
func Start(ctx context.Context, config Config) (*Server, error) {
	realmName, err := config.prepare()
	if err != nil {
		return nil, err
	}
	service, err := proc.Start(ctx, proc.Spec{
		Command: proc.Command{
			Name: "keycloak",
			Args: []string{"/bin/sh", filepath.Join(config.Dir, "bin/kc.sh"), "start-dev", "--import-realm",
				"--http-host=127.0.0.1", "--http-port=" + strconv.Itoa(config.Port),
				"--http-management-port=" + strconv.Itoa(config.Management)},
			Env: config.environ(), Dir: config.Dir, PIDFile: config.PIDFile, StopWait: stopWait,
		},
		LogFile: config.LogFile, Logf: config.Logf, ReadyWait: readyWait,
		Ready: func(ctx context.Context) error {
			return Check(ctx, config.URL()+"/realms/"+realmName, config.URL()+"/realms/"+realmName)
		},
	})
	if err != nil {
		return nil, err
	}
	if config.Built != "" {
		if err := config.keepBuilt(); err != nil {
			config.Logf("what Keycloak built for itself is not kept: %v", err)
		}
	}
	return &Server{Service: service}, nil
}

// environ is small: a stray KC_… of the caller would be an option of this server.
func (c Config) environ() []string {
	env := []string{"LC_ALL=C.UTF-8", "HOME=" + c.Dir,
		// A short life: fast to start matters, the last bit of speed does not.
		"JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1"}
	for _, item := range c.Env {
		for _, prefix := range []string{"PATH=", "JAVA_HOME=", "TENANTRY_"} {
			if strings.HasPrefix(item, prefix) {
				env = append(env, item)
			}
		}
	}
	return env
}

// prepare lays out the server's directory and returns the name of the realm in it.
func (c Config) prepare() (string, error) {
	home, err := filepath.Abs(c.Home)
	if err != nil {
		return "", err
	}
	script, err := os.ReadFile(filepath.Join(home, "bin/kc.sh"))
	if err != nil {
		return "", fmt.Errorf("no Keycloak in %s: %w", home, err)
	}
	for _, name := range []string{"bin", "lib", "conf", "providers", "themes", "version.txt", "data/import"} {
		if err := os.RemoveAll(filepath.Join(c.Dir, name)); err != nil { // of an earlier run; its data stays
			return "", err
		}
	}
	// The script finds the server's directory by its own place, and follows links to get there.
	if err := write(filepath.Join(c.Dir, "bin/kc.sh"), bytes.NewReader(script), 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"conf", "providers", "themes", "version.txt"} {
		if err := os.Symlink(filepath.Join(home, name), filepath.Join(c.Dir, name)); err != nil {
			return "", err
		}
	}
	built := filepath.Join(home, builtDir)
	if _, err := os.Stat(c.Built); err == nil {
		built = c.Built
	}
	if err := os.CopyFS(filepath.Join(c.Dir, builtDir), os.DirFS(built)); err != nil {
		return "", err
	}
	libraries, err := os.ReadDir(filepath.Join(home, "lib"))
	if err != nil {
		return "", err
	}
	for _, entry := range libraries {
		if entry.Name() == filepath.Base(builtDir) {
			continue
		}
		if err := os.Symlink(filepath.Join(home, "lib", entry.Name()), filepath.Join(c.Dir, "lib", entry.Name())); err != nil {
			return "", err
		}
	}
	merged, err := realm.Merge(c.RealmFiles...)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return "", err
	}
	name, _ := merged["realm"].(string)
	return name, write(filepath.Join(c.Dir, "data/import", name+"-realm.json"), bytes.NewReader(text), 0o600)
}

// keepBuilt keeps what the server built for itself, unless an earlier one did.
func (c Config) keepBuilt() error {
	if _, err := os.Stat(c.Built); err == nil {
		return nil
	}
	scratch, err := os.MkdirTemp(filepath.Dir(c.Built), "built-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	built := filepath.Join(scratch, "new")
	if err := os.CopyFS(built, os.DirFS(filepath.Join(c.Dir, builtDir))); err != nil {
		return err
	}
	if err := os.Rename(built, c.Built); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Check reads the discovery document at the URL from, which has to be that of the issuer named.
func Check(ctx context.Context, from, issuer string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from+"/.well-known/openid-configuration", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("its discovery document answers %s", resp.Status)
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDiscovery)).Decode(&document); err != nil {
		return fmt.Errorf("its discovery document cannot be read: %w", err)
	}
	if document.Issuer != issuer {
		return errors.New("it calls itself " + strconv.Quote(document.Issuer))
	}
	return nil
}
