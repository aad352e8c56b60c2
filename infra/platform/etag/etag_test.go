package etag

import (
	"testing"

	"encore.app/infra/platform/fault"
)

func TestATagComesBackAsItsVersion(t *testing.T) {
	t.Parallel()
	for header, c := range map[string]struct {
		version int64
		bad     bool
	}{
		"":                {},
		"*":               {},
		Of(7):             {version: 7},
		"W/" + Of(7):      {version: 7},
		" " + Of(9) + " ": {version: 9},
		"7":               {bad: true},
		`"`:               {bad: true},
		`"1", "2"`:        {bad: true},
		// Well formed, and the tag of nothing here: stale, not malformed.
		`"x"`:                    {version: noVersion},
		`""`:                     {version: noVersion},
		`"0"`:                    {version: noVersion},
		`"-1"`:                   {version: noVersion},
		`"99999999999999999999"`: {version: noVersion},
	} {
		var checks fault.Checks
		Check(&checks, header)
		if bad := checks.Err() != nil; bad != c.bad {
			t.Errorf("%q: refused %v, want %v", header, bad, c.bad)
		}
		if got := Wants(header); !c.bad && got != c.version {
			t.Errorf("%q: version %d, want %d", header, got, c.version)
		}
	}
}
