// Package sqldb gives services their Postgres databases.
//
//	var db = sqldb.NewDatabase("orgs", sqldb.DatabaseConfig{Migrations: "./migrations"})
//
// A database is declared in a package variable. Its server is DATABASE_URL, or
// DATABASE_URL_<NAME> in an app with several databases. Migrations run when the
// app starts. The app's own connections never bypass row-level security.
package sqldb
