// Package rowid makes the ids of new rows: UUIDv7, so that they sort by time and index well.
package rowid

import (
	"encore.dev/types/uuid"
	googleuuid "github.com/google/uuid"
)

// New is a fresh id. It panics only when the system has no randomness left to give.
func New() uuid.UUID { return uuid.UUID(googleuuid.Must(googleuuid.NewV7())) }
