//go:build acceptance && local

package acceptance

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encore.app/infra/devstack/chromium/browsertest"
	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
)

// deadEvent is an audit event that the relay has given up, as a crash or a fault that was mended leaves it.
const deadEvent = `
insert into platform.outbox (id, topic, payload, attempts, dead_at, last_error) values ('%[1]s', 'audit-events',
  '{"id": "%[1]s", "org_id": "%[2]s", "occurred_at": "2026-01-01T00:00:00Z", "actor": {"id": "%[3]s", "type": "user"}, "action": "create",
    "resource": {"kind": "project", "id": "%[1]s"}, "outcome": "succeeded", "request_id": "r", "decision_id": "d", "policy_version": "v", "ip": "", "changes": {}}',
  8, now(), 'the broker was away')`

// operator is a person at the console.
type operator struct {
	*browsertest.Window
	base string
}

// signIn goes the way that a person goes: password, one-time code, back to the console.
func (o *operator) signIn(t *testing.T, user string) {
	t.Helper()
	o.Go(t, o.base+"/ops")
	o.press(t, "Sign in")
	o.Fill(t, "#username", user)
	o.Enter(t, "#password", "demo")
	code, err := totp.GenerateCode(totpSecret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Enter(t, "#otp", code)
	o.AwaitText(t, user)
	o.AwaitText(t, "level 2")
}

// press clicks a button by what it says, to those who see it or to those who hear it.
func (o *operator) press(t *testing.T, name string) {
	t.Helper()
	find := fmt.Sprintf(`[...(document.querySelector("dialog[open]") ?? document).querySelectorAll("button")].find((b) =>
	  !b.disabled && (b.getAttribute("aria-label") ?? b.textContent).startsWith(%q))`, name)
	o.Until(t, "the button "+name, func() bool {
		var there bool
		o.Run(t, "return !!"+find, &there)
		return there
	})
	o.Run(t, find+".click()", nil)
}

// visit opens a page and checks that those who cannot see it can use it.
func (o *operator) visit(t *testing.T, page, shows string) {
	t.Helper()
	o.Run(t, fmt.Sprintf("location.hash = %q", page), nil)
	o.AwaitText(t, shows)
	o.usable(t)
}

// usable checks what WCAG 2.2 asks of names and structure: 1.1.1, 1.3.1, 2.4.2, 2.4.4, 3.1.1, 3.3.2, 4.1.2.
func (o *operator) usable(t *testing.T) {
	t.Helper()
	var wrong []string
	o.Run(t, `
const wrong = [];
const need = (ok, what) => { if (!ok) wrong.push(what); };
const named = (e) => (e.getAttribute("aria-label") ?? e.textContent).trim() !== "";
need(document.documentElement.lang, "no language");
need(document.title, "no title");
need(document.querySelectorAll("h1").length === 1 && document.querySelectorAll("main h2").length === 1, "headings");
need(document.querySelectorAll("main, nav[aria-label]").length === 2, "landmarks");
need(document.querySelector("nav [aria-current]"), "no current page");
for (const e of document.querySelectorAll("a, button")) need(named(e), "nameless " + e.outerHTML);
for (const e of document.querySelectorAll("input, select")) need(e.labels.length > 0, "unlabelled " + e.outerHTML);
for (const e of document.querySelectorAll("table")) need(e.caption && e.querySelector("th[scope=col]"), "a table without caption or headings");
for (const e of document.querySelectorAll("th")) need(named(e), "a heading that says nothing");
for (const e of document.querySelectorAll("img")) need(e.hasAttribute("alt"), "a picture that says nothing");
return wrong`, &wrong)
	if len(wrong) > 0 {
		t.Errorf("%s: %v", o.At(t), wrong)
	}
}

// picture keeps what the page looks like, where CONSOLE_PICTURES names a directory.
func (o *operator) picture(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("CONSOLE_PICTURES")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), o.Screenshot(t), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A person signs in with a second factor, sees every part, sends a dead letter again, verifies what a log
// commits itself to, and is refused what their role may not do.
func TestTheConsoleInABrowser(t *testing.T) {
	if !browsertest.Available() {
		t.Skip("NOT RUN: there is no browser here (WEBDRIVER_URL names a WebDriver server; devstack exec --real starts one)")
	}
	database := scratch(t)
	a := start(t, database, "")
	for range 3 {
		if tryCreate(a, t, unique("console")) == "" {
			t.Fatal("no project was made")
		}
	}
	letter := uuid.NewString()
	execSQL(t, database, fmt.Sprintf(deadEvent, letter, acme, uuid.NewString()))

	// The issuer knows the console where make run has it.
	base := "http://127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "4000")
	o := &operator{browsertest.Open(t, "MAP "+strings.TrimPrefix(base, "http://")+" "+strings.TrimPrefix(a.base, "http://")), base}

	o.Go(t, base+"/ops")
	o.AwaitText(t, "cerbos")
	o.usable(t)
	o.Run(t, `location.hash = "queues"`, nil)
	o.AwaitText(t, "for platform staff")

	o.signIn(t, "root@tenantry.test")
	o.visit(t, "overview", "orgs.CreateProject")
	for _, part := range []string{"postgres", "redis", "rabbitmq", "cerbos", "oidc"} {
		o.AwaitText(t, part)
	}
	o.picture(t, "overview")

	o.visit(t, "queues", "audit-events")
	o.picture(t, "queues")
	o.visit(t, "queues/audit-events", letter)
	o.picture(t, "dead-letters")
	o.press(t, "Requeue "+letter)
	o.AwaitText(t, "1 sent again")
	eventually(t, 30*time.Second, "the log has the event", func() bool { return eventsOf(a, t, letter) == 1 })

	o.visit(t, "audit/"+acme, letter)
	o.press(t, "Verify the checkpoint")
	o.AwaitText(t, "is signed, and of this log")
	o.AwaitText(t, "is in the log")
	if tryCreate(a, t, unique("console")) == "" {
		t.Fatal("no project was made")
	}
	eventually(t, 30*time.Second, "the log has grown", func() bool {
		return want[struct {
			Size int `json:"tree_size"`
		}](t, at(a, t, adaOrg, "GET", acmeLog+"/checkpoint", nil), http.StatusOK).Size >= 5
	})
	o.press(t, "Verify the checkpoint")
	o.AwaitText(t, "that this browser saw before")
	o.AwaitText(t, "event 5 is in the log")
	var holds bool
	o.Run(t, `return document.querySelectorAll("#found .good").length >= 3 && !document.querySelector("#found .bad")`, &holds)
	if !holds {
		t.Error("the log does not verify in the browser")
	}
	o.picture(t, "audit")

	o.visit(t, "policies", "patient_record")
	events := want[list[loggedEvent]](t, at(a, t, root, "GET", "/api/v1/admin/audit/events?action=create&resource=project&limit=1&org_id="+acme, nil), http.StatusOK).Items
	if len(events) == 0 {
		t.Fatal("nothing was decided")
	}
	o.visit(t, "policies/"+events[0].DecisionID, "project create: allow")
	o.picture(t, "policies")
	o.visit(t, "licences", "Stripe")
	o.picture(t, "licences")
	o.visit(t, "tenants", "globex")
	o.picture(t, "tenants")
	o.press(t, "Suspend globex")
	o.press(t, "Suspend")
	o.AwaitText(t, "globex is suspended")
	o.press(t, "Reactivate globex")
	o.press(t, "Reactivate")
	o.AwaitText(t, "globex is active")

	o.press(t, "Sign out")
	o.AwaitText(t, "Sign in to see")

	o.signIn(t, "auditor@tenantry.test")
	o.Run(t, `location.hash = "tenants"`, nil)
	o.press(t, "Suspend acme")
	o.press(t, "Suspend")
	o.AwaitText(t, "policy_denied")
	o.picture(t, "refused")

	for _, address := range o.Requested(t) {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "data" && u.Hostname() != "127.0.0.1" {
			t.Errorf("the browser asked for %s", address)
		}
	}
	for _, complaint := range o.Complaints(t) {
		if !strings.Contains(complaint, "403") { // the refusal above
			t.Errorf("the browser complains: %s", complaint)
		}
	}
}
