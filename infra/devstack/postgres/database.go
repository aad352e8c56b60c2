package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ready asks for one answer from the server that was started, not from a stranger at its port:
// only that one knows the password.
func (c *Cluster) ready(ctx context.Context) error {
	_, err := Version(ctx, c.SuperuserURL())
	return err
}

// ensureDatabase makes the app's role and database where they are missing.
func (c *Cluster) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.SuperuserURL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var haveRole, haveDatabase bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
	       EXISTS (SELECT FROM pg_database WHERE datname = $1)`, appRole).Scan(&haveRole, &haveDatabase)
	if err != nil {
		return err
	}
	if !haveRole {
		// Utility statements take no parameters; the password is letters and digits (rand.Text).
		if _, err := conn.Exec(ctx, fmt.Sprintf(`CREATE ROLE %s LOGIN CREATEDB PASSWORD '%s'`, appRole, c.passwords.App)); err != nil {
			return err
		}
	}
	if !haveDatabase {
		if _, err := conn.Exec(ctx, fmt.Sprintf(`CREATE DATABASE %s OWNER %s`, appRole, appRole)); err != nil {
			return err
		}
	}
	return nil
}

// Version connects and returns the server's version, for example "15.18"; a server that is too
// old for the app is an error.
func Version(ctx context.Context, url string) (string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var number int
	var version string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version')`).Scan(&number, &version)
	if err != nil {
		return "", err
	}
	if number < MinMajor*10000 {
		return "", errors.New("Postgres " + version + " is older than 15")
	}
	short, _, _ := strings.Cut(version, " ")
	return short, nil
}
