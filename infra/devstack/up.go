package devstack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

const secretsName = ".secrets.local.cue"

// appSecrets are the app's secrets that local development gives a value; "" is off.
var appSecrets = []string{
	"CERBOS_ADDR", "CERBOS_METRICS_URL", "CERBOS_CA", "CERBOS_CERT", "CERBOS_KEY", "OIDC_ISSUER_URL", "OIDC_INTERNAL_URL", "KEYCLOAK_PROVISIONER_SECRET", "REDIS_URL", "RABBITMQ_URL",
	"DOCS", "RATE_LIMITS", "TRUSTED_PROXIES", "OPS_TOKEN", "AUDIT_SIGNING_KEY", "AUDIT_RETIRED_KEYS", "SENTRY_DSN", "SETTINGS", "SINK_SECRETS_KEY", "SINKS_ALLOW_PRIVATE",
	"STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE", "BILLING_RETURN_URL", "ENTITLEMENTS",
}

// Up runs only the stack until ctx ends, for an app that `encore run` starts: it writes the
// app's secrets and prints, to stdout, the variables that the Encore daemon and `encore test` are
// started with.
// More names are secrets that the app has beyond the usual ones.
func Up(ctx context.Context, config Config, more []string) error {
	// The port is where encore run serves the app, so that webhooks reach it.
	config.Env = config.Env.With(Env{"APP_ENV": config.Env.or("APP_ENV", "dev"), "PORT": config.Env.or("PORT", defaultPort)})
	data, err := openDataDir(filepath.Join(config.Root, devName))
	if err != nil {
		return err
	}
	defer data.close()
	s, err := start(ctx, config, data)
	if err != nil {
		return err
	}
	defer s.stop()
	env := s.config.Env.With(s.values)
	if err := writeSecrets(filepath.Join(config.Root, secretsName), env, more); err != nil {
		return err
	}
	lines, err := s.sqldbLines(env["DATABASE_URL"])
	if err != nil {
		return err
	}
	fmt.Print(lines)
	// What is tested without Encore's own databases and secrets reads these.
	for _, name := range []string{"DATABASE_URL", "CERBOS_ADDR", "CERBOS_BIN"} {
		fmt.Printf("export %s='%s'\n", name, env[name])
	}
	s.logf("the stack runs; %s is written; Ctrl-C stops it", secretsName)
	<-ctx.Done()
	return nil
}

// writeSecrets replaces the file in one step, so that a watcher never reads half of it.
func writeSecrets(path string, env Env, more []string) error {
	names := slices.Concat(appSecrets, more)
	slices.Sort(names)
	var text strings.Builder
	text.WriteString("// Written by devstack for `encore run`; \"\" is off.\n")
	for _, name := range slices.Compact(names) {
		fmt.Fprintf(&text, "%s: %s\n", name, strconv.Quote(env[name]))
	}
	draft := path + ".new"
	if err := os.WriteFile(draft, []byte(text.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

// sqldbLines tells the Encore daemon which server to make its databases on: as superuser on the
// stack's own, else as whoever DATABASE_URL signs in.
func (s *stack) sqldbLines(databaseURL string) (string, error) {
	host, user, password, database := s.superuser.host, s.superuser.name, s.superuser.password, s.superuser.name
	if host == "" {
		c, err := pgx.ParseConfig(databaseURL)
		if err != nil {
			return "", err
		}
		host, user, password, database = c.Host+":"+strconv.Itoa(int(c.Port)), c.User, c.Password, c.Database
	}
	var lines strings.Builder
	for _, v := range [][2]string{{"HOST", host}, {"DATABASE", database}, {"USER", user}, {"PASSWORD", password}} {
		fmt.Fprintf(&lines, "export ENCORE_SQLDB_%s=%s\n", v[0], shellQuote(v[1]))
	}
	return lines.String(), nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
