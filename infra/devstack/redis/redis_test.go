package redis

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	server, err := Start(t.Context(), Config{
		Dir: filepath.Join(dir, "redis"), Port: port,
		LogFile: filepath.Join(dir, "redis.log"), PIDFile: filepath.Join(dir, "redis.pid"), Logf: t.Logf,
	})
	if !Installed() {
		if !errors.Is(err, ErrNotInstalled) {
			t.Errorf("error %v, want ErrNotInstalled", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if version, err := Version(t.Context(), server.URL()); err != nil || !strings.Contains(version, ".") {
		t.Errorf("version %q, %v", version, err)
	}
	server.Stop()
	if _, err := Version(t.Context(), server.URL()); err == nil {
		t.Error("the server still answers")
	}
}
