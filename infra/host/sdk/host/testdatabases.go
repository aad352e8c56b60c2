package host

import (
	"context"

	"encore.dev/internal/db"
)

// DropTestDatabases drops the databases of one test run, once its test binaries have ended.
func DropTestDatabases(ctx context.Context, run string) error {
	return db.DropTestDatabases(ctx, run)
}
