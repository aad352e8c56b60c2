//go:build acceptance && local

package acceptance

import (
	"strings"
	"testing"

	"encore.app/infra/devstack/chromium/browsertest"
)

// The documentation shows every audience's endpoints, finds by words, and loads nothing from elsewhere.
func TestTheDocumentationInABrowser(t *testing.T) {
	if !browsertest.Available() {
		t.Skip("NOT RUN: there is no browser here (WEBDRIVER_URL names a WebDriver server; devstack exec --real starts one)")
	}
	w := browsertest.Open(t, "")
	w.Go(t, target.base+"/docs#org/orgs.CreateTeam")
	for _, shown := range []string{"Adds a team without members.", "/api/v1/org/{org_id}/teams", "Idempotency-Key", "1 to 200 characters", "already_exists"} {
		w.AwaitText(t, shown)
	}
	w.Run(t, `const s = document.querySelector("#audience"); s.value = "app"; s.dispatchEvent(new Event("change"))`, nil)
	w.AwaitText(t, "Tenantry: app")
	w.Run(t, `const f = document.querySelector("#find"); f.value = "patch projects"; f.dispatchEvent(new Event("input"))`, nil)
	w.Until(t, "one endpoint is found", func() bool {
		var found int
		w.Run(t, `return document.querySelectorAll("nav a").length`, &found)
		return found == 1
	})
	w.Click(t, "nav a")
	w.AwaitText(t, "/api/v1/app/orgs/{org_id}/projects/{id}")
	if complaints := w.Complaints(t); len(complaints) > 0 {
		t.Errorf("the browser complains: %v", complaints)
	}
	for _, address := range w.Requested(t) {
		if !strings.HasPrefix(address, target.base+"/docs") {
			t.Errorf("the page asked for %s", address)
		}
	}
}
