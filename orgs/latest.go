package orgs

import (
	"errors"

	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
)

// mostTries is how often a write is made again that others overtake.
const mostTries = 5

// matches is the answer to a write that names another version than the current one; nil if it names
// this one or none.
func matches(ifMatch string, version int64) error {
	if want := etag.Wants(ifMatch); want != 0 && want != version {
		return etag.Stale()
	}
	return nil
}

// latest reads, decides and writes again when somebody else wrote in between: a decision counts only
// for the version that it was made about. A caller who named a version is told instead.
func latest[T any](ifMatch string, try func() (T, error)) (T, error) {
	for n := 1; ; n++ {
		out, err := try()
		switch {
		case !errors.Is(err, errStale):
			return out, err
		case etag.Wants(ifMatch) != 0:
			return out, etag.Stale()
		case n == mostTries:
			return out, fault.New(errs.Aborted, fault.VersionConflict, "others keep changing this: try again")
		}
	}
}

// latestDone is latest for what has no answer.
func latestDone(ifMatch string, try func() error) error {
	_, err := latest(ifMatch, func() (struct{}, error) { return struct{}{}, try() })
	return err
}
