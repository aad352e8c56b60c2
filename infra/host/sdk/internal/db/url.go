package db

import (
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"encore.dev/internal/part"
)

const partName = "Postgres"

// login finds the server of a database: DATABASE_URL_<NAME>, or DATABASE_URL if
// the app has no other database.
func login(name string, only bool) (cfg *pgx.ConnConfig, variable string, err error) {
	own := "DATABASE_URL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	for _, variable := range []string{own, "DATABASE_URL"} {
		if variable == "DATABASE_URL" && !only {
			break
		}
		url, _, err := part.Setting(variable)
		if err != nil {
			return nil, variable, err
		}
		if url != "" {
			cfg, err := parse(url, variable)
			return cfg, variable, err
		}
	}
	variable = own
	if only {
		variable = "DATABASE_URL"
	}
	return nil, variable, &part.Error{Part: partName, Variable: variable, Problem: "is not set (database " + strconv.Quote(name) + " needs it)"}
}

// parse reads a connection URL. The parser's own message is dropped, because it
// may quote the URL and with it the password.
func parse(url, variable string) (*pgx.ConnConfig, error) {
	cfg, err := pgxpool.ParseConfig(url) // takes pool_* settings out, which pgx would send to the server
	if err != nil {
		return nil, &part.Error{Part: partName, Variable: variable, Problem: "is not a Postgres URL (postgres://user:password@host:port/database)"}
	}
	conn := cfg.ConnConfig
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "host"
	}
	return conn, nil
}

func unreachable(variable string, cfg *pgx.ConnConfig, err error) error {
	at := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	return &part.Error{Part: partName, Variable: variable, Problem: "names a database that cannot be reached (" + cfg.Database + " at " + at + ")", Err: err}
}
