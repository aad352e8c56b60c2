// Package etag ties an update to the version that its author saw (RFC 9110, sections 8.8.3 and
// 13.1.1): a read answers ETag, a write may send it back as If-Match.
package etag

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
)

// Of is the entity tag of a version.
func Of(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Check is what a Validate says of an If-Match header: that it is no entity tag, or several.
func Check(c *fault.Checks, ifMatch string) {
	if _, ok := parse(ifMatch); !ok {
		c.Add("If-Match", "must be one ETag as a read of this resource answered it, or *")
	}
}

// Wants is the version that ifMatch asks for; 0 if any will do, and one that no row has if the tag is
// none of ours.
func Wants(ifMatch string) int64 {
	version, _ := parse(ifMatch)
	return version
}

// noVersion is the version of no row.
const noVersion = -1

// entityTag is RFC 9110, section 8.8.3. A weak one is taken for the strong one: proxies that compress
// weaken the tags that pass through them.
var entityTag = regexp.MustCompile(`^(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"$`)

func parse(ifMatch string) (version int64, ok bool) {
	ifMatch = strings.TrimSpace(ifMatch)
	if ifMatch == "" || ifMatch == "*" {
		return 0, true
	}
	tag := entityTag.FindStringSubmatch(ifMatch)
	if tag == nil {
		return 0, false
	}
	version, err := strconv.ParseInt(tag[1], 10, 64)
	if err != nil || version < 1 {
		return noVersion, true
	}
	return version, true
}

// Stale is the answer to a write whose If-Match is not the current version: 412, as the standard has
// it.
func Stale() *errs.Error {
	return fault.WithStatus(fault.New(errs.Aborted, fault.VersionConflict,
		"somebody changed this since you read it: read it again"), http.StatusPreconditionFailed)
}
