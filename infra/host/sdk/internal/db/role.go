package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// privileges is what a connection's role may do.
type privileges struct {
	name             string
	superuser, noRLS bool
}

// bypassesRLS says whether row-level security would not bind the role.
func (p privileges) bypassesRLS() bool { return p.superuser || p.noRLS }

func rolePrivileges(ctx context.Context, conn *pgx.Conn) (privileges, error) {
	var p privileges
	err := conn.QueryRow(ctx, `SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user`).
		Scan(&p.name, &p.superuser, &p.noRLS)
	if err != nil {
		return p, fmt.Errorf("role of the connection: %w", err)
	}
	return p, nil
}

// ensureServiceRole makes the role that the app's connections take: it reads
// and writes all rows that policies let it, owns nothing, and cannot log in.
// Functions, types and sequences are reached through their defaults and
// pg_write_all_data. Roles belong to the whole server, hence the tolerance for
// one that another session has just made.
func ensureServiceRole(ctx context.Context, conn *pgx.Conn, role string, login privileges) error {
	quoted := pgx.Identifier{role}.Sanitize()
	create := `DO $do$ BEGIN
		CREATE ROLE ` + quoted + ` NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
	EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
	END $do$`
	statements := []string{create, `GRANT pg_read_all_data, pg_write_all_data TO ` + quoted}
	if !login.superuser {
		statements = append(statements, `GRANT `+quoted+` TO CURRENT_USER`)
	}
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("role %q bypasses row-level security and the app's own role %q cannot be set up: %w", login.name, role, err)
		}
	}
	return nil
}

func roleExists(ctx context.Context, conn *pgx.Conn, role string) (bool, error) {
	var exists bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists)
	return exists, err
}
