package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"encore.app/infra/devstack/proc"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	readyWait = 90 * time.Second // an Erlang VM on a busy machine
	stopWait  = 20 * time.Second
	script    = "/usr/lib/rabbitmq/bin/rabbitmq-server" // the wrapper in PATH insists on its own user
)

// ErrNotInstalled is returned where there is no RabbitMQ server.
var ErrNotInstalled = errors.New("rabbitmq-server is not installed")

// settings keeps a node small and on the loopback interface.
const settings = `listeners.tcp.1 = 127.0.0.1:%d
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
raft.wal_max_size_bytes = 33554432
log.console = true
log.console.level = info
log.file = false
`

// Ports are the three listeners of a node.
type Ports struct{ AMQP, Dist, EPMD int }

// Config says where a node lives.
type Config struct {
	Dir     string // everything it writes; made if need be
	LogFile string
	PIDFile string
	Ports   Ports
	Logf    func(format string, args ...any)
}

// Node is a running broker.
type Node struct {
	server, epmd *proc.Service
	url          string
}

// Installed reports whether the system has a server.
func Installed() bool {
	_, err := os.Stat(script)
	return err == nil
}

// Start runs the node and returns once it accepts clients.
func Start(ctx context.Context, config Config) (*Node, error) {
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return nil, ErrNotInstalled
	}
	if !Installed() {
		return nil, ErrNotInstalled
	}
	env, err := config.prepare()
	if err != nil {
		return nil, err
	}
	n := &Node{url: fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", config.Ports.AMQP)}
	n.epmd, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{Name: "epmd", Args: []string{epmd}, Env: env, Dir: config.Dir, PIDFile: config.PIDFile + ".epmd"},
		LogFile: config.LogFile + ".epmd", Logf: config.Logf,
		Ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(config.Ports.EPMD))
			if err != nil {
				return err
			}
			return conn.Close()
		},
		ReadyWait: readyWait,
	})
	if err != nil {
		return nil, err
	}
	n.server, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{Name: "rabbitmq", Args: []string{script}, Env: env, Dir: config.Dir, PIDFile: config.PIDFile, StopWait: stopWait},
		LogFile: config.LogFile, Logf: config.Logf,
		Ready: func(ctx context.Context) error {
			_, err := Version(ctx, n.url)
			return err
		},
		ReadyWait: readyWait,
	})
	if err != nil {
		n.epmd.Stop()
		return nil, err
	}
	return n, nil
}

// prepare writes the node's settings and returns its environment.
func (c Config) prepare() ([]string, error) {
	conf := filepath.Join(c.Dir, "rabbitmq.conf")
	plugins := filepath.Join(c.Dir, "enabled_plugins")
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, settings, c.Ports.AMQP), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(plugins, []byte("[].\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + c.Dir, // the Erlang cookie
		"LC_ALL=C.UTF-8",
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the VM instead of waiting for it
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_EPMD_PORT=" + strconv.Itoa(c.Ports.EPMD),
		"RABBITMQ_NODENAME=tenantry-" + strconv.Itoa(c.Ports.AMQP) + "@localhost",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(c.Ports.AMQP),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(c.Ports.Dist),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(c.Dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(c.Dir, "log"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_PID_FILE=" + filepath.Join(c.Dir, "node.pid"),
		"RABBITMQ_CONFIG_FILE=" + conf,
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(c.Dir, "none"), // not the system's
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + plugins,
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
	}, nil
}

// URL is what clients connect with.
func (n *Node) URL() string { return n.url }

// Stop ends the node, then its epmd.
func (n *Node) Stop() {
	n.server.Stop()
	n.epmd.Stop()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Version signs in to the broker at an amqp:// URL and returns its version.
func Version(ctx context.Context, url string) (string, error) {
	dial := func(network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok {
			err = conn.SetDeadline(deadline) // for the handshake; the client lifts it afterwards
		}
		return conn, err
	}
	conn, err := amqp.DialConfig(url, amqp.Config{Dial: dial})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	version, _ := conn.Properties["version"].(string)
	return version, nil
}
