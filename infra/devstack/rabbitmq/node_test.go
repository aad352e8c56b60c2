package rabbitmq

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"
)

func TestNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := Config{
		Dir: filepath.Join(dir, "rabbitmq"), LogFile: filepath.Join(dir, "rabbitmq.log"),
		PIDFile: filepath.Join(dir, "rabbitmq.pid"),
		Ports:   Ports{AMQP: freePort(t), Dist: freePort(t), EPMD: freePort(t)}, Logf: t.Logf,
	}
	node, err := Start(t.Context(), config)
	if !Installed() {
		if !errors.Is(err, ErrNotInstalled) {
			t.Errorf("error %v, want ErrNotInstalled", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	if version, err := Version(t.Context(), node.URL()); err != nil || version == "" {
		t.Errorf("version %q, %v", version, err)
	}
	wrong := fmt.Sprintf("amqp://guest:wrong@127.0.0.1:%d/", config.Ports.AMQP)
	if _, err := Version(t.Context(), wrong); err == nil {
		t.Error("a wrong password was accepted")
	}
	node.Stop()
	for name, port := range map[string]int{"the node": config.Ports.AMQP, "its distribution": config.Ports.Dist, "its epmd": config.Ports.EPMD} {
		if conn, err := net.Dial("tcp", loopback(port)); err == nil {
			conn.Close()
			t.Errorf("%s still listens", name)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
