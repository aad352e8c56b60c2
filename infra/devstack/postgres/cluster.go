package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"encore.app/infra/devstack/proc"
)

const (
	superuser = "postgres"
	appRole   = "tenantry" // also the name of its database

	readyWait = 60 * time.Second // recovery after a crash is part of it
)

// Config says where a cluster lives and how it runs.
type Config struct {
	BinDir  string // from FindBin
	DataDir string // made by initdb if it does not exist; its passwords are kept in DataDir + ".json"
	LogFile string
	PIDFile string
	Port    int
	// Durable keeps fsync on. A cluster that is thrown away after a test run does without.
	Durable bool
	// Archive is a directory that gets every WAL segment when it is full; "" archives nothing.
	Archive string
	Logf    func(format string, args ...any)
}

// Cluster is a running cluster.
type Cluster struct {
	*proc.Service
	config    Config
	passwords passwords
}

type passwords struct {
	Superuser string `json:"superuser"`
	App       string `json:"app"`
}

// Start makes the cluster if it does not exist, runs it, and returns once both roles and the
// database are there.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	user, err := serverUser(config.DataDir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{config: config}
	if _, err := os.Stat(filepath.Join(config.DataDir, "PG_VERSION")); errors.Is(err, fs.ErrNotExist) {
		err = c.create(user)
		if err != nil {
			return nil, err
		}
	} else if err := c.loadPasswords(); err != nil {
		return nil, err
	}
	c.Service, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{
			Name: "postgres", Args: c.serverArgs(), Env: serverEnv(), Dir: "/", User: user,
			StopSignal: syscall.SIGINT, // fast shutdown: sessions are cut, data is flushed
			PIDFile:    config.PIDFile,
		},
		LogFile: config.LogFile, Logf: config.Logf,
		Ready: c.ready, ReadyWait: readyWait,
	})
	if err != nil {
		return nil, err
	}
	if err := c.ensureDatabase(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// URL is what the app connects with.
func (c *Cluster) URL() string { return c.url(appRole, c.passwords.App, appRole) }

// SuperuserURL connects to the maintenance database with all rights.
func (c *Cluster) SuperuserURL() string { return c.url(superuser, c.passwords.Superuser, superuser) }

// Host is the address, as host:port.
func (c *Cluster) Host() string { return "127.0.0.1:" + strconv.Itoa(c.config.Port) }

// Superuser returns the name and password of the role with all rights.
func (c *Cluster) Superuser() (name, password string) { return superuser, c.passwords.Superuser }

func (c *Cluster) url(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: c.Host(), Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (c *Cluster) serverArgs() []string {
	args := []string{
		filepath.Join(c.config.BinDir, "postgres"), "-D", c.config.DataDir,
		"-h", "127.0.0.1", "-p", strconv.Itoa(c.config.Port), "-k", "",
		"-c", "max_connections=200",
		"-c", "shared_buffers=128MB",
		"-c", "timezone=UTC",
		"-c", "log_line_prefix=%m [%p] %u@%d ",
	}
	if !c.config.Durable {
		// A crash of the server loses nothing even so; a crash of the machine may.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	if c.config.Archive != "" {
		to := filepath.Join(c.config.Archive, "%f")
		args = append(args, "-c", "archive_mode=on", "-c", fmt.Sprintf("archive_command=test ! -f '%s' && cp '%%p' '%s'", to, to))
	}
	return args
}

func serverEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
}

// create runs initdb beside the final place, so that one which was cut short leaves no half a cluster.
func (c *Cluster) create(user *proc.User) error {
	c.passwords = passwords{Superuser: rand.Text(), App: rand.Text()}
	draft := c.config.DataDir + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return err
	}
	secret := draft + ".password"
	defer os.Remove(secret)
	if err := os.WriteFile(secret, []byte(c.passwords.Superuser), 0o600); err != nil {
		return err
	}
	if user != nil {
		for _, path := range []string{draft, secret} {
			if err := os.Chown(path, int(user.UID), int(user.GID)); err != nil {
				return err
			}
		}
	}
	args := []string{
		filepath.Join(c.config.BinDir, "initdb"), "-D", draft, "--username=" + superuser,
		"--auth=scram-sha-256", "--pwfile=" + secret, "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
	}
	if !c.config.Durable {
		args = append(args, "--no-sync")
	}
	if _, err := proc.Output(proc.Command{Name: "initdb", Args: args, Env: serverEnv(), Dir: "/", User: user}); err != nil {
		return err
	}
	text, err := json.Marshal(c.passwords)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.passwordFile(), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, c.config.DataDir)
}

func (c *Cluster) passwordFile() string { return c.config.DataDir + ".json" }

func (c *Cluster) loadPasswords() error {
	text, err := os.ReadFile(c.passwordFile())
	if err == nil {
		err = json.Unmarshal(text, &c.passwords)
	}
	if err != nil {
		return fmt.Errorf("the passwords of %s cannot be read (make reset throws the data away): %w", c.config.DataDir, err)
	}
	return nil
}
