// Package postgres runs a private Postgres cluster from the system's own binaries.
//
// The cluster listens on 127.0.0.1 only, has no Unix socket (its path would have to be short)
// and asks for a password that is made at initdb and kept beside the data. It has two roles:
// the superuser postgres, and tenantry, a plain role that owns the database tenantry and is what
// the app connects as, so that row-level security holds for it.
//
// Postgres refuses to run as root. Started by root, it therefore runs as the user postgres, with
// one capability where the checkout lies below a directory that this user may not enter.
package postgres
