package event

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"encore.app/infra/platform/rowid"
)

// required are the attributes that OCSF 1.4.0 requires of each class that is used.
var required = map[int][]string{
	ocsfAccountChange: {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "user"},
	ocsfUserAccess:    {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "user", "privileges"},
	ocsfAPIActivity:   {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "actor", "api", "src_endpoint"},
}

// allowed are the others that each class has, of those that are used.
var allowed = map[int][]string{
	ocsfAccountChange: {"activity_name", "actor", "src_endpoint", "status", "status_id", "unmapped"},
	ocsfUserAccess:    {"activity_name", "actor", "src_endpoint", "status", "status_id", "unmapped"},
	ocsfAPIActivity:   {"activity_name", "resources", "status", "status_id", "unmapped"},
}

func TestEveryClassHasWhatOCSFRequiresAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action         string
		resource       Resource
		ip, changes    string
		outcome        Outcome
		class, kind    int
		status         int
		wantPrivileges string
	}{
		"a change":            {"create", Resource{"project", "p"}, "192.0.2.1", `{}`, Succeeded, 6003, 600301, 1, ""},
		"a denial":            {"delete", Resource{"project", "p"}, "192.0.2.1", `{}`, Denied, 6003, 600304, 2, ""},
		"without an id or ip": {"audit_log:export", Resource{"audit_log", ""}, "", `{}`, Allowed, 6003, 600399, 1, ""},
		"a key":               {"create", Resource{"api_key", "k"}, "", `{}`, Succeeded, 6003, 600301, 1, ""},
		"an account":          {"user:disable", Resource{"user", "u"}, "", `{}`, Succeeded, 3001, 300105, 1, ""},
		"no account":          {"list", Resource{"user", ""}, "", `{}`, Denied, 6003, 600302, 2, ""},
		"roles":               {"create", Resource{"membership", "u"}, "", `{"org_roles":["admin","billing"]}`, Succeeded, 3005, 300501, 1, `["admin","billing"]`},
		"roles of old":        {"delete", Resource{"membership", "u"}, "", `{"org_roles":{"was":1}}`, Succeeded, 3005, 300502, 1, `[]`},
	} {
		e := Event{
			ID: rowid.New(), OrgID: rowid.New(), OccurredAt: time.UnixMilli(1_700_000_000_123), Seq: 7, RequestID: "r",
			Actor: Actor{ID: "a", Type: "user", ImpersonatorID: "i"}, Action: c.action, Resource: c.resource,
			Outcome: c.outcome, IP: c.ip, Changes: json.RawMessage(c.changes),
		}
		text, err := json.Marshal(ToOCSF(e))
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		var got struct {
			ClassUID int `json:"class_uid"`
			TypeUID  int `json:"type_uid"`
			StatusID int `json:"status_id"`
			Category int `json:"category_uid"`
			Time     int64
			Endpoint map[string]string `json:"src_endpoint"`
			Metadata struct {
				Sequence int64
				UID      string
			}
			Resources []map[string]string
			Unmapped  struct {
				ImpersonatorID string `json:"impersonator_id"`
				Action         string
			}
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		if got.ClassUID != c.class || got.TypeUID != c.kind || got.StatusID != c.status || got.Category != c.class/1000 || got.Time != 1_700_000_000_123 {
			t.Errorf("%s: class %d, type %d, status %d, category %d, time %d", name, got.ClassUID, got.TypeUID, got.StatusID, got.Category, got.Time)
		}
		if got.Metadata.Sequence != 7 || got.Metadata.UID != e.ID.String() || got.Unmapped.ImpersonatorID != "i" || got.Unmapped.Action != c.action {
			t.Errorf("%s: %s", name, text)
		}
		want := slices.Sorted(slices.Values(required[c.class]))
		have := slices.Sorted(maps.Keys(members))
		for _, attribute := range want {
			if !slices.Contains(have, attribute) {
				t.Errorf("%s: class %d requires %s: %s", name, c.class, attribute, text)
			}
		}
		for _, attribute := range have {
			if !slices.Contains(want, attribute) && !slices.Contains(allowed[c.class], attribute) {
				t.Errorf("%s: class %d has no %s: %s", name, c.class, attribute, text)
			}
		}
		if len(got.Endpoint) == 0 {
			t.Errorf("%s: an endpoint has at least one member: %s", name, text)
		}
		for _, r := range got.Resources {
			if r["uid"] == "" && r["name"] == "" {
				t.Errorf("%s: a resource has a name or a uid: %s", name, text)
			}
		}
		if string(members["privileges"]) != c.wantPrivileges {
			t.Errorf("%s: privileges %s, want %s", name, members["privileges"], c.wantPrivileges)
		}
	}
}
