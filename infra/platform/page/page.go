// Package page is how lists are cut: a limit and an opaque cursor that holds the sort key of the
// last row, so that a page costs the same wherever it lies.
package page

import (
	"encoding/base64"
	"encoding/json"

	"encore.app/infra/platform/fault"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// Limits of ?limit=.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Limit is the page size asked for, or the default.
func Limit(c *fault.Checks, asked option.Option[int]) int {
	limit := asked.GetOrElse(DefaultLimit)
	if limit < 1 || limit > MaxLimit {
		c.Add("limit", "must be from 1 to %d", MaxLimit)
	}
	return limit
}

// Cursor writes a sort key down.
func Cursor(key any) string {
	text, err := json.Marshal(key)
	if err != nil {
		panic(err) // keys are strings, times and ids
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// Parse reads a cursor into key; "" leaves key as it is.
func Parse(c *fault.Checks, cursor string, key any) {
	if cursor == "" {
		return
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, key)
	}
	if err != nil {
		c.Add("cursor", "is not a cursor that this list gave out")
	}
}

// Cut takes rows that were read with one more than limit, drops that one and, if it was there, makes
// the cursor of the next page from the last row that stays.
func Cut[T any](rows []T, limit int, key func(T) any) (items []T, next string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, Cursor(key(rows[limit-1]))
}

// ByID reads limit and cursor of a list that is sorted by id.
func ByID(cursor string, asked option.Option[int]) (after uuid.UUID, limit int, err error) {
	var c fault.Checks
	limit = Limit(&c, asked)
	Parse(&c, cursor, &after)
	return after, limit, c.Err()
}
