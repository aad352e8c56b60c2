// Package etag ties an update to the version that its author saw (RFC 9110, sections 8.8.3 and
// 13.1.1): a read answers ETag, a write may send it back as If-Match.
package etag

import (
	"net/http"
	"strconv"
	"strings"

	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
)

// Of is the entity tag of a version.
func Of(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Check is what a Validate says of an If-Match header: that it is not one of ours.
func Check(c *fault.Checks, ifMatch string) {
	if _, ok := parse(ifMatch); !ok {
		c.Add("If-Match", "must be an ETag as a read of this resource answered it, or *")
	}
}

// Wants is the version that ifMatch asks for; 0 if any will do.
func Wants(ifMatch string) int64 {
	version, _ := parse(ifMatch)
	return version
}

func parse(ifMatch string) (version int64, ok bool) {
	ifMatch = strings.TrimSpace(ifMatch)
	if ifMatch == "" || ifMatch == "*" {
		return 0, true
	}
	quoted, found := strings.CutPrefix(strings.TrimPrefix(ifMatch, "W/"), `"`)
	digits, closed := strings.CutSuffix(quoted, `"`)
	version, err := strconv.ParseInt(digits, 10, 64)
	return version, found && closed && err == nil && version > 0
}

// Stale is the answer to a write whose If-Match is not the current version: 412, as the standard has
// it.
func Stale() *errs.Error {
	return fault.WithStatus(fault.New(errs.Aborted, fault.VersionConflict,
		"somebody changed this since you read it: read it again"), http.StatusPreconditionFailed)
}
