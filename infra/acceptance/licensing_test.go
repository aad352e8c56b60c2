//go:build acceptance

package acceptance

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

type licenseView struct {
	Tier         string           `json:"tier"`
	FeatureFlags map[string]bool  `json:"feature_flags"`
	Seats        int              `json:"seats"`
	Limits       map[string]int64 `json:"limits"`
	Status       string           `json:"status"`
	Source       string           `json:"source"`
	Version      int64            `json:"version"`
}

// write is a keyed write.
func write(t testing.TB, bearer, method, path string, body any, edit ...func(*http.Request)) reply {
	t.Helper()
	return call(t, bearer, method, path, body, append(edit, withKey(unique("license")))...)
}

func TestALicenceIsGrantedChangedAndTakenBack(t *testing.T) {
	t.Parallel()
	bearer, org := rootMFA.token(t), tenant(t).ID
	at := "/api/v1/admin/orgs/" + org + "/license"
	fresh := call(t, bearer, "GET", at, nil)
	if l := want[licenseView](t, fresh, http.StatusOK); l.Tier != "free" || l.Source != "default" {
		t.Errorf("a new organisation has %+v", l)
	}
	body := map[string]any{"tier": "pro", "feature_flags": map[string]bool{"beta": true}, "seats": 7}
	wantFailure(t, call(t, bearer, "PUT", at, body), http.StatusBadRequest, "idempotency_key_required")
	match := func(tag string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("If-Match", tag) }
	}
	first := write(t, bearer, "PUT", at, body, match(fresh.header.Get("ETag")))
	l := want[licenseView](t, first, http.StatusOK)
	if l.Tier != "pro" || l.Seats != 7 || !l.FeatureFlags["beta"] || l.Source != "manual" || l.Status != "active" {
		t.Errorf("granted %+v", l)
	}
	seen := want[struct {
		Tier  string          `json:"license_tier"`
		Flags map[string]bool `json:"feature_flags"`
	}](t, call(t, bearer, "GET", "/api/v1/admin/orgs/"+org, nil), http.StatusOK)
	if seen.Tier != "pro" || !seen.Flags["beta"] {
		t.Errorf("the organisation says %+v", seen)
	}
	if again := want[licenseView](t, write(t, bearer, "PUT", at, body), http.StatusOK); again.Version != l.Version {
		t.Errorf("the same again is version %d after %d", again.Version, l.Version)
	}
	etag := first.header.Get("ETag")
	body["seats"], body["limits"] = 8, map[string]int{"projects": -1}
	if l := want[licenseView](t, write(t, bearer, "PUT", at, body, match(etag)), http.StatusOK); l.Seats != 8 || l.Limits["projects"] != -1 {
		t.Errorf("changed to %+v", l)
	}
	wantFailure(t, write(t, bearer, "PUT", at, body, match(etag)), http.StatusPreconditionFailed, "version_conflict")
	for field, bad := range map[string]any{"tier": "gold", "seats": 0, "valid_until": "soon", "feature_flags": map[string]bool{"No": true}, "limits": map[string]int{"seats": 9}} {
		wrong := map[string]any{"tier": "pro", "feature_flags": map[string]bool{}, "seats": 7, field: bad}
		f := wantFailure(t, write(t, bearer, "PUT", at, wrong), http.StatusBadRequest, "validation_failed")
		if !stockHost && f.Details.Reason == "" { // refused by Encore, which names no fields
			continue
		}
		if len(f.Details.Fields) != 1 || !strings.HasPrefix(f.Details.Fields[0].Field, field) {
			t.Errorf("%s: %+v", field, f.Details.Fields)
		}
	}
	wantFailure(t, write(t, bearer, "PUT", at, map[string]any{}), http.StatusBadRequest, "validation_failed")
	past := map[string]any{"tier": "enterprise", "feature_flags": map[string]bool{}, "seats": 50, "valid_until": "2020-01-01T00:00:00Z"}
	if l := want[licenseView](t, write(t, bearer, "PUT", at, past), http.StatusOK); l.Tier != "free" || l.Status != "expired" {
		t.Errorf("long past its end: %+v", l)
	}
	if l := want[licenseView](t, write(t, bearer, "DELETE", at, nil), http.StatusOK); l.Tier != "free" || l.Source != "default" {
		t.Errorf("taken back: %+v", l)
	}
}

func TestWhatAnOrganisationMayUseIsToldToItsMembers(t *testing.T) {
	t.Parallel()
	got := want[struct {
		Tier     string
		Features map[string]bool
		Limits   map[string]int64
		Usage    map[string]int64
	}](t, call(t, graceApp.token(t), "GET", "/api/v1/app/orgs/"+acme+"/entitlements", nil), http.StatusOK)
	if got.Tier != "enterprise" || !got.Features["patient_records"] || got.Limits["seats"] < 1 || got.Usage["seats"] < 4 {
		t.Errorf("got %+v", got)
	}
	for name := range got.Limits {
		if _, ok := got.Usage[name]; !ok {
			t.Errorf("no usage of %s", name)
		}
	}
	usage := want[struct {
		Usage  map[string]int64 `json:"usage"`
		Limits map[string]int64 `json:"limits"`
		Items  []struct{}       `json:"items"`
	}](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/usage", nil), http.StatusOK)
	if usage.Items == nil || usage.Usage["seats"] < 4 || usage.Limits["seats"] != got.Limits["seats"] {
		t.Errorf("got %+v", usage)
	}
}

func TestNobodyBuysWithoutAKnownTier(t *testing.T) {
	t.Parallel()
	at := "/api/v1/org/" + globex + "/billing/checkout"
	for _, body := range []map[string]any{{}, {"tier": "free"}, {"tier": "pro", "interval": "week"}, {"tier": "pro", "seats": -1}} {
		wantFailure(t, write(t, eveOrg.token(t), "POST", at, body), http.StatusBadRequest, "validation_failed")
	}
}

// A stranger's delivery is refused whatever it is, and never breaks anything.
func TestForgedDeliveriesAreRefused(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "{", "an event": `{"id":"evt_1","type":"customer.updated"}`, "large": strings.Repeat(" ", 1<<20),
	} {
		for _, signature := range []string{"", "t=1,v1=00", "t=" + time.Now().Format("20060102") + ",v1=zz", strings.Repeat("v1=aa,", 5000)} {
			r := call(t, "", "POST", "/webhooks/stripe", body, func(r *http.Request) { r.Header.Set("Stripe-Signature", signature) })
			if r.status < 400 || r.status >= 500 {
				t.Errorf("%s, signed %.20q: %d %s", name, signature, r.status, r.body)
			}
		}
	}
	r := call(t, "", "POST", "/webhooks/stripe", strings.Repeat(" ", 1<<20+1))
	if r.status != http.StatusRequestEntityTooLarge && r.status != http.StatusNotFound {
		t.Errorf("a byte more than 1 MiB: %d", r.status)
	}
}

// What a licence limits is refused beyond it, and what is used is said.
func TestLimitsHoldWhereThingsAreMade(t *testing.T) {
	t.Parallel()
	org, license := tenant(t).ID, map[string]any{"tier": "pro", "feature_flags": map[string]bool{}, "seats": 5, "limits": map[string]int{"projects": 2, "api_keys": 1}}
	grant := func() {
		t.Helper()
		want[licenseView](t, write(t, rootMFA.token(t), "PUT", "/api/v1/admin/orgs/"+org+"/license", license), http.StatusOK)
	}
	grant()
	eve, project := eveApp.token(t), map[string]any{"title": "p", "sensitivity": "internal", "pii": false}
	for _, kind := range []string{"projects", "docs"} {
		want[struct{}](t, call(t, eve, "POST", "/api/v1/app/orgs/"+org+"/"+kind, project), http.StatusCreated)
	}
	wantFailure(t, call(t, eve, "POST", "/api/v1/app/orgs/"+org+"/projects", project), http.StatusBadRequest, "quota_exceeded")
	key := map[string]any{"name": "k", "org_roles": []string{"member"}}
	want[struct{}](t, call(t, eveOrg.token(t), "POST", "/api/v1/org/"+org+"/api-keys", key), http.StatusCreated)
	wantFailure(t, call(t, eveOrg.token(t), "POST", "/api/v1/org/"+org+"/api-keys", key), http.StatusBadRequest, "quota_exceeded")
	if r := call(t, eveOrg.token(t), "GET", "/api/v1/org/"+org+"/export", nil); r.status != http.StatusOK {
		t.Errorf("export: %d %s", r.status, r.body)
	}
	has := want[struct{ Limits, Usage map[string]int }](t, call(t, eve, "GET", "/api/v1/app/orgs/"+org+"/entitlements", nil), http.StatusOK)
	for name, n := range map[string]int{"projects": 2, "api_keys": 1, "seats": 1, "exports_per_day": 1} {
		if has.Usage[name] != n {
			t.Errorf("%d %s are used, want %d", has.Usage[name], name, n)
		}
	}
	license["limits"] = map[string]int{"projects": -1}
	grant()
	want[struct{}](t, call(t, eve, "POST", "/api/v1/app/orgs/"+org+"/projects", project), http.StatusCreated)
}
