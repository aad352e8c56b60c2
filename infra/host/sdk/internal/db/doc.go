// Package db keeps the app's Postgres databases: it finds each one's server,
// migrates it, and hands out one connection pool per database.
//
// A handle exists as soon as a package declares it, long before anything is
// known about servers. Its pool therefore asks at each new connection where to
// go: in a running app that is decided by [Start], in a test binary by the
// first connection, which creates and migrates the test database.
//
// Row-level security must bind the app whatever login it was given. Migrations
// run as the login role; if that role could bypass row-level security, the
// pool's connections take a role of their own that owns nothing.
package db
