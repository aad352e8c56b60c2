//go:build acceptance && local

package acceptance

import (
	"net/http"
	"testing"
)

// Every refusal at the door leaves an entry in the platform's log, so knocking must have a limit too.
func TestKnockingAtClosedDoorsIsLimited(t *testing.T) {
	t.Parallel()
	a := limited(t, "RATE_LIMITS=caller=5")
	for i := range 8 {
		r := at(a, t, eveOrg, "GET", "/api/v1/org/"+acme, nil)
		if want := http.StatusNotFound; i < 5 && r.status != want {
			t.Errorf("call %d: got %d, want %d", i, r.status, want)
		}
		if i > 5 {
			refusedForNow(t, r)
		}
	}
}
