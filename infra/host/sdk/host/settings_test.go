//go:build stockhost

package host

import (
	"io"
	"strings"
	"testing"
	"time"

	"encore.dev/internal/appinfo"
	"encore.dev/internal/lifecycle"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	type env = map[string]string
	for _, tc := range []struct {
		args string
		env  env
		want settings
		err  string
	}{
		{"", nil, settings{roles: lifecycle.All, listen: "127.0.0.1:8080", shutdown: 10 * time.Second}, ""},
		{"", env{"APP_ENV": "production"}, settings{roles: lifecycle.All, listen: ":8080", shutdown: 10 * time.Second}, ""},
		{"", env{"APP_ENV": "staging", "PORT": "1"}, settings{roles: lifecycle.All, listen: ":1", shutdown: 10 * time.Second}, ""},
		{"", env{"LISTEN_ADDR": "0.0.0.0", "PORT": "1"}, settings{roles: lifecycle.All, listen: "0.0.0.0:1", shutdown: 10 * time.Second}, ""},
		{"", env{"LISTEN_ADDR": "[::1]:7", "PORT": "1"}, settings{roles: lifecycle.All, listen: "[::1]:7", shutdown: 10 * time.Second}, ""},
		{"", env{"LISTEN_ADDR": "::1"}, settings{roles: lifecycle.All, listen: "[::1]:8080", shutdown: 10 * time.Second}, ""},
		{"--role worker,scheduler --listen :9", env{"HOST_SHUTDOWN_TIMEOUT": "3s"}, settings{roles: lifecycle.Worker | lifecycle.Scheduler, listen: ":9", shutdown: 3 * time.Second}, ""},
		{"migrate", nil, settings{command: "migrate", roles: lifecycle.All, listen: "127.0.0.1:8080", shutdown: 10 * time.Second}, ""},
		{"health", env{"PORT": "4000", "HOST_DRAIN_DELAY": "5s"}, settings{command: "health", roles: lifecycle.All, listen: "127.0.0.1:4000", drain: 5 * time.Second, shutdown: 10 * time.Second}, ""},
		{"--role cook", nil, settings{}, `"cook" is not a role`},
		{"--role ,", nil, settings{}, "there must be one"},
		{"serve", nil, settings{}, `"serve" is not a command`},
		{"--nope", nil, settings{}, "help requested"},
		{"", env{"APP_ENV": "prod"}, settings{}, "APP_ENV"},
		{"", env{"HOST_SHUTDOWN_TIMEOUT": "soon"}, settings{}, "HOST_SHUTDOWN_TIMEOUT"},
		{"", env{"HOST_SHUTDOWN_TIMEOUT": "0s"}, settings{}, "HOST_SHUTDOWN_TIMEOUT"},
		{"health", env{"HOST_DRAIN_DELAY": "0s"}, settings{command: "health", roles: lifecycle.All, listen: "127.0.0.1:8080", shutdown: 10 * time.Second}, ""},
		{"", env{"HOST_DRAIN_DELAY": "-1s"}, settings{}, "HOST_DRAIN_DELAY"},
	} {
		got, err := readSettings(strings.Fields(tc.args), func(k string) string { return tc.env[k] }, io.Discard)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q %v: %v, want %s", tc.args, tc.env, err, tc.err)
			}
			continue
		}
		if tc.want.env = appinfo.Env(tc.env["APP_ENV"]); tc.want.env == "" {
			tc.want.env = appinfo.Dev
		}
		if err != nil || got != tc.want {
			t.Errorf("%q %v: %+v %v\nwant %+v", tc.args, tc.env, got, err, tc.want)
		}
	}
}
