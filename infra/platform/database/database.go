// Package database declares the app's one database and holds its migrations.
//
// One database, a schema a service: that a change, its audit event and its message commit together
// is worth more than databases of one's own. No service names another's schema.
package database

import "encore.dev/storage/sqldb"

// DB is the database. Services take their pool from it.
var DB = sqldb.NewDatabase("tenantry", sqldb.DatabaseConfig{
	Migrations: "./migrations",
})
