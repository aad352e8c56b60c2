//go:build acceptance

package acceptance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

type settingItem struct {
	Key, Source, Type string
	Value             json.RawMessage
	Locked, Secret    bool
	Version           int64
}

func ifMatch(tag string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("If-Match", tag) }
}

// effective is what a member of globex is told.
func effective(t *testing.T, key string) settingItem {
	t.Helper()
	return want[settingItem](t, call(t, eveApp.token(t), "GET", "/api/v1/app/orgs/"+globex+"/settings/"+key, nil), 200)
}

func TestASettingSaysWhichLayerDecided(t *testing.T) {
	t.Parallel()
	const key = "audit.retention_days" // nobody else's in this suite
	org, admin := "/api/v1/org/"+globex+"/settings/"+key, "/api/v1/admin/settings/"+key
	says := func(source, value string) {
		t.Helper()
		if got := effective(t, key); got.Source != source || string(got.Value) != value {
			t.Errorf("got %s from %s, want %s from %s", got.Value, got.Source, value, source)
		}
	}
	says("tier", "90") // globex is on the free tier
	want[settingItem](t, call(t, root.token(t), "PUT", admin, `{"value":400}`), 200)
	says("tier", "90")
	if got := want[settingItem](t, call(t, root.token(t), "GET", admin, nil), 200); got.Source != "global" || string(got.Value) != "400" {
		t.Errorf("the platform sees %s from %s", got.Value, got.Source)
	}
	put := call(t, eveOrg.token(t), "PUT", org, `{"value":500}`)
	first := put.header.Get("ETag")
	if got := want[settingItem](t, put, 200); got.Source != "org" || first == "" {
		t.Errorf("got %+v, ETag %q", got, first)
	}
	says("org", "500")

	want[settingItem](t, call(t, root.token(t), "PUT", admin, `{"value":400,"locked":true}`), 200)
	says("tier", "90") // a lock takes the organisation's value away
	wantFailure(t, call(t, eveOrg.token(t), "PUT", org, `{"value":600}`), 403, "setting_locked")
	want[settingItem](t, call(t, root.token(t), "DELETE", admin, nil), 200)
	says("org", "500")

	wantFailure(t, call(t, eveOrg.token(t), "PUT", org, `{"value":601}`, ifMatch(`"999999"`)), 412, "version_conflict")
	second := call(t, eveOrg.token(t), "PUT", org, `{"value":602}`, ifMatch(first))
	want[settingItem](t, second, 200)
	wantFailure(t, call(t, eveOrg.token(t), "PUT", org, `{"value":601}`, ifMatch(`"none-of-ours"`)), 412, "version_conflict")
	wantFailure(t, call(t, eveOrg.token(t), "DELETE", org, nil, ifMatch(first)), 412, "version_conflict")
	if got := want[settingItem](t, call(t, eveOrg.token(t), "DELETE", org, nil, ifMatch(second.header.Get("ETag"))), 200); got.Source != "tier" {
		t.Errorf("after DELETE %s decides", got.Source)
	}
	// The same version never comes back, so that an old ETag cannot match a new value.
	again := call(t, eveOrg.token(t), "PUT", org, `{"value":603}`)
	want[settingItem](t, again, 200)
	if tag := again.header.Get("ETag"); tag == first || tag == second.header.Get("ETag") {
		t.Errorf("ETag %s is there again", tag)
	}
	want[settingItem](t, call(t, eveOrg.token(t), "DELETE", org, nil), 200)
	want[settingItem](t, call(t, eveOrg.token(t), "DELETE", org, nil), 200) // and again
	says("tier", "90")
}

func TestASettingRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	base := "/api/v1/org/" + globex + "/settings/"
	for key, body := range map[string]string{
		"locale.language":             `{"value":"tlh"}`,
		"branding.primary_color":      `{"value":"red"}`,
		"invitations.valid_for":       `{"value":3600}`,
		"invitations.allowed_domains": `{"value":["a.com","a.com"]}`,
		"export.include_audit":        `{"value":"yes"}`,
		"branding.display_name":       `{}`,
		"branding.support_url":        `{"value":null}`,
	} {
		f := wantFailure(t, call(t, eveOrg.token(t), "PUT", base+key, body), 400, "validation_failed")
		if len(f.Details.Fields) != 1 || f.Details.Fields[0].Field != "value" {
			t.Errorf("%s: %+v", key, f.Details.Fields)
		}
		if got := effective(t, key); got.Source == "org" {
			t.Errorf("%s was set all the same", key)
		}
	}
	wantFailure(t, call(t, eveOrg.token(t), "PUT", base+"no.such", `{"value":1}`), 404, "not_found")
	wantFailure(t, call(t, eveOrg.token(t), "DELETE", base+"no.such", nil), 404, "not_found")
	wantFailure(t, call(t, eveApp.token(t), "GET", "/api/v1/app/orgs/"+globex+"/settings/no.such", nil), 404, "not_found")
	wantFailure(t, call(t, eveOrg.token(t), "PUT", base+"locale.language", `{"value":"fr"}`, ifMatch("1")), 400, "validation_failed")
}

func TestASecretSettingNeverComesOut(t *testing.T) {
	t.Parallel()
	const key, canary = "export.signing_secret", "canary-5f1c0d"
	path := "/api/v1/org/" + globex + "/settings"
	put := call(t, eveOrg.token(t), "PUT", path+"/"+key, map[string]string{"value": canary})
	if got := want[settingItem](t, put, 200); string(got.Value) != "null" || !got.Secret || got.Source != "org" {
		t.Errorf("got %s", put.body)
	}
	answers := []reply{
		put, call(t, eveOrg.token(t), "GET", path, nil), call(t, eveOrg.token(t), "GET", path+"/"+key, nil),
		call(t, eveApp.token(t), "GET", "/api/v1/app/orgs/"+globex+"/settings/"+key, nil),
		call(t, eveOrg.token(t), "PUT", path+"/"+key, map[string][]string{"value": {canary}}),
	}
	events := call(t, eveOrg.token(t), "GET", "/api/v1/org/"+globex+"/audit/events?resource="+key, nil)
	eventually(t, 20*time.Second, "the change is in the log", func() bool {
		events = call(t, eveOrg.token(t), "GET", "/api/v1/org/"+globex+"/audit/events?resource="+key, nil)
		return bytes.Contains(events.body, []byte(`"update"`))
	})
	for i, r := range append(answers, events) {
		if bytes.Contains(r.body, []byte(canary)) {
			t.Errorf("answer %d shows the secret: %s", i, r.body)
		}
	}
}

func TestSettingsAreListedInPages(t *testing.T) {
	t.Parallel()
	seen, cursor := map[string]bool{}, ""
	for {
		got := want[struct {
			Items      []settingItem
			NextCursor string `json:"next_cursor"`
		}](t, call(t, eveOrg.token(t), "GET", "/api/v1/org/"+globex+"/settings?limit=4&cursor="+cursor, nil), 200)
		for _, item := range got.Items {
			if seen[item.Key] || item.Type == "" {
				t.Errorf("%+v comes twice, or without a type", item)
			}
			seen[item.Key] = true
		}
		if cursor = got.NextCursor; cursor == "" {
			break
		}
		if len(got.Items) != 4 {
			t.Fatalf("%d on a page that is not the last", len(got.Items))
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %v", seen)
	}
}

func TestSettingsOfInvitationsCount(t *testing.T) {
	t.Parallel()
	org := "/api/v1/org/" + orgOfEve(t, unique("inviting"))
	eve := eveOrg.token(t)
	want[settingItem](t, call(t, eve, "PUT", org+"/settings/invitations.allowed_domains", `{"value":["good.test"]}`), 200)
	want[settingItem](t, call(t, eve, "PUT", org+"/settings/invitations.valid_for", `{"value":"2h"}`), 200)
	invite := func(email string) reply {
		return call(t, eve, "POST", org+"/invitations", map[string]any{"email": email, "org_roles": []string{"member"}})
	}
	f := wantFailure(t, invite("a@good.test.bad.test"), 400, "validation_failed")
	if f.Details.Fields[0].Field != "email" {
		t.Errorf("got %+v", f.Details.Fields)
	}
	got := want[struct {
		ExpiresAt time.Time `json:"expires_at"`
	}](t, invite("A@Good.test"), 201)
	if left := time.Until(got.ExpiresAt); left < 115*time.Minute || left > 121*time.Minute {
		t.Errorf("it can be accepted for %s", left)
	}
}
