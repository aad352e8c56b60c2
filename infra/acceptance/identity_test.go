//go:build acceptance

package acceptance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	rootMFA = caller{user: "root@tenantry.test", client: "admin-console", mfa: true}
	alanOrg = caller{user: "alan@acme.test", client: "org-console"}
)

type user struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Username string `json:"username"`
	Status   string `json:"status"`
}

type apiKey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	OrgRoles   []string   `json:"org_roles"`
	Prefix     string     `json:"prefix"`
	Key        string     `json:"key"`
	CreatedBy  string     `json:"created_by"`
	ExpiresAt  time.Time  `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

type impersonation struct {
	ID             string     `json:"id"`
	UserID         string     `json:"user_id"`
	ImpersonatorID string     `json:"impersonator_id"`
	Token          string     `json:"token"`
	Write          bool       `json:"write"`
	ExpiresAt      time.Time  `json:"expires_at"`
	EndedAt        *time.Time `json:"ended_at"`
}

func TestStaffFindUsers(t *testing.T) {
	t.Parallel()
	find := func(query string) []user {
		return want[list[user]](t, call(t, root.token(t), "GET", "/api/v1/admin/users?query="+url.QueryEscape(query), nil), http.StatusOK).Items
	}
	got := find("ADA@acme")
	if len(got) != 1 || got[0].Email != "ada@acme.test" || got[0].Status != "active" {
		t.Fatalf("got %+v", got)
	}
	one := want[user](t, call(t, root.token(t), "GET", "/api/v1/admin/users/"+got[0].ID, nil), http.StatusOK)
	if one != got[0] {
		t.Errorf("read %+v, listed %+v", one, got[0])
	}
	for _, query := range []string{"%", "_", `\`, "da@acme"} {
		if got := find(query); len(got) != 0 {
			t.Errorf("%q is no beginning of anybody, got %+v", query, got)
		}
	}
	seen := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		page := want[list[user]](t, call(t, root.token(t), "GET", "/api/v1/admin/users?limit=3&cursor="+cursor, nil), http.StatusOK)
		for _, u := range page.Items {
			if seen[u.ID] {
				t.Errorf("%s is on two pages", u.ID)
			}
			seen[u.ID] = true
		}
		if cursor = page.NextCursor; cursor == "" || pages > 100 {
			break
		}
	}
	if len(seen) < 9 {
		t.Errorf("only %d users over all pages", len(seen))
	}
}

func newKey(t *testing.T, c caller, roles ...string) apiKey {
	t.Helper()
	return want[apiKey](t, call(t, c.token(t), "POST", "/api/v1/org/"+acme+"/api-keys",
		map[string]any{"name": unique("key"), "org_roles": roles}), http.StatusCreated)
}

func TestAnAPIKeyActsInItsOrganisation(t *testing.T) {
	t.Parallel()
	k := newKey(t, adaOrg, "member")
	if !strings.HasPrefix(k.Key, "tnt_") || !strings.HasPrefix(k.Key, k.Prefix) || len(k.Prefix) >= len(k.Key)/2 {
		t.Fatalf("key %q, prefix %q", k.Key, k.Prefix)
	}
	if days := time.Until(k.ExpiresAt).Hours() / 24; days < 89 || days > 90 {
		t.Errorf("expires in %.1f days", days)
	}
	for _, listed := range want[list[apiKey]](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/api-keys?limit=200", nil), http.StatusOK).Items {
		if listed.Key != "" {
			t.Fatal("a list tells secrets")
		}
	}

	body := map[string]any{"title": unique("machine"), "sensitivity": "internal", "pii": false}
	for path, expect := range map[string]string{
		"GET /api/v1/app/orgs/" + acme + "/projects":       "200",
		"GET /api/v1/org/" + acme:                          "200",
		"GET /api/v1/org/" + acme + "/audit/events":        "403 policy_denied", // a member's rights, not ada's
		"GET /api/v1/org/" + acme + "/api-keys":            "403 policy_denied",
		"GET /api/v1/app/orgs/" + globex + "/projects":     "404 not_found",
		"GET /api/v1/org/" + globex:                        "404 not_found",
		"GET /api/v1/admin/orgs":                           "403 wrong_audience",
		"GET /api/v1/admin/orgs/" + acme:                   "403 wrong_audience",
		"GET /api/v1/me":                                   "403 wrong_audience",
		"GET /.well-known/tenantry-audit-keys":             "200", // open to all is open to a key
		"GET /healthz":                                     "200",
		"POST /api/v1/app/orgs/" + acme + "/projects":      "201",
		"POST /api/v1/app/orgs/" + globex + "/projects":    "404 not_found",
		"DELETE /api/v1/org/" + acme + "/api-keys/" + k.ID: "403 policy_denied",
	} {
		method, path, _ := strings.Cut(path, " ")
		t.Run(method+path, func(t *testing.T) {
			var send any
			if method == "POST" {
				send = body
			}
			check(t, call(t, k.Key, method, path, send), expect)
		})
	}
	asked := map[string]any{"checks": []any{
		map[string]any{"resource": map[string]any{"kind": "project", "org_id": acme}, "actions": []string{"create", "delete"}},
		map[string]any{"resource": map[string]any{"kind": "project", "org_id": globex}, "actions": []string{"create"}},
	}}
	answer := want[struct {
		Results []struct{ Actions map[string]string }
	}](t, call(t, k.Key, "POST", "/api/v1/authz/check", asked), http.StatusOK)
	if a := answer.Results[0].Actions; a["create"] != "allow" || a["delete"] != "deny" {
		t.Errorf("in its own organisation: %v", a)
	}
	if a := answer.Results[1].Actions; a["create"] != "deny" {
		t.Errorf("in another: %v", a)
	}
	used := func() *time.Time {
		items := want[list[apiKey]](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/api-keys?limit=200", nil), http.StatusOK).Items
		i := slices.IndexFunc(items, func(one apiKey) bool { return one.ID == k.ID })
		return items[i].LastUsedAt
	}
	if at := used(); at == nil || time.Since(*at) > time.Minute {
		t.Errorf("last used %v", at)
	}
	if r := call(t, adaOrg.token(t), "DELETE", "/api/v1/org/"+acme+"/api-keys/"+k.ID, nil); r.status/100 != 2 {
		t.Fatalf("revoke: %d %s", r.status, r.body)
	}
	eventually(t, 5*time.Second, "the key is refused", func() bool {
		return call(t, k.Key, "GET", "/api/v1/org/"+acme, nil).status == http.StatusUnauthorized
	})
	wantFailure(t, call(t, k.Key, "GET", "/api/v1/org/"+acme, nil), http.StatusUnauthorized, "token_revoked")
	wantFailure(t, call(t, adaOrg.token(t), "DELETE", "/api/v1/org/"+acme+"/api-keys/"+k.ID, nil), http.StatusNotFound, "not_found")
}

func TestABadKeyIs401(t *testing.T) {
	t.Parallel()
	k := newKey(t, adaOrg, "guest").Key
	for name, c := range map[string]struct{ key, reason string }{
		"only a prefix":  {"tnt_", "token_malformed"},
		"a typing error": {k[:len(k)-1] + map[bool]string{true: "1", false: "0"}[k[len(k)-1] == '0'], "token_malformed"},
		"cut off":        {k[:len(k)-1], "token_malformed"},
		"huge":           {"tnt_" + strings.Repeat("a", 20_000), "token_malformed"},
		"as another":     {"tnt_imp_" + k[len("tnt_"):], "token_malformed"},
	} {
		wantFailure(t, call(t, c.key, "GET", "/api/v1/org/"+acme, nil), http.StatusUnauthorized, c.reason)
		t.Log(name, "is refused")
	}
}

func TestAKeyIsNeverWiderThanItsMaker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		as    caller
		roles []string
		want  string
	}{
		{alanOrg, []string{"owner"}, "403 policy_denied"},
		{alanOrg, []string{"member", "owner"}, "403 policy_denied"},
		{alanOrg, []string{"admin"}, "201"},
		{adaOrg, []string{"owner"}, "201"},
		{adaOrg, []string{}, "400 validation_failed"},
		{adaOrg, []string{"root"}, "400 validation_failed"},
	} {
		check(t, call(t, c.as.token(t), "POST", "/api/v1/org/"+acme+"/api-keys", map[string]any{"name": "k", "org_roles": c.roles}), c.want)
	}
	// No key makes another, whatever its roles.
	owner := newKey(t, adaOrg, "owner").Key
	wantFailure(t, call(t, owner, "POST", "/api/v1/org/"+acme+"/api-keys", map[string]any{"name": "k", "org_roles": []string{"guest"}}),
		http.StatusForbidden, "policy_denied")
	for _, expiry := range []time.Time{time.Now().Add(-time.Minute), time.Now().Add(366 * 24 * time.Hour)} {
		wantFailure(t, call(t, adaOrg.token(t), "POST", "/api/v1/org/"+acme+"/api-keys",
			map[string]any{"name": "k", "org_roles": []string{"guest"}, "expires_at": expiry}), http.StatusBadRequest, "validation_failed")
	}
}

func TestAReplacedKeyOverlaps(t *testing.T) {
	t.Parallel()
	first := newKey(t, adaOrg, "member")
	rotate := func(query string) apiKey {
		return want[apiKey](t, call(t, adaOrg.token(t), "POST", "/api/v1/org/"+acme+"/api-keys/"+first.ID+"/rotate"+query, nil), http.StatusOK)
	}
	works := func(key string) bool { return call(t, key, "GET", "/api/v1/org/"+acme, nil).status == http.StatusOK }
	second := rotate("?overlap_minutes=10")
	if second.ID != first.ID || second.Key == first.Key || !works(second.Key) || !works(first.Key) {
		t.Fatalf("no overlap: %+v", second)
	}
	third := rotate("")
	eventually(t, 5*time.Second, "only the newest secret works", func() bool {
		return works(third.Key) && !works(second.Key) && !works(first.Key)
	})
}

func TestStaffActAsAMemberAndTheOrganisationSeesIt(t *testing.T) {
	t.Parallel()
	bob := want[list[user]](t, call(t, root.token(t), "GET", "/api/v1/admin/users?query=bob@", nil), http.StatusOK).Items[0].ID
	begin := func(org string, write bool) impersonation {
		return want[impersonation](t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/impersonations",
			map[string]any{"user_id": bob, "org_id": org, "reason": "a ticket", "minutes": 5, "write": write}), http.StatusCreated)
	}
	i := begin(acme, true)
	if i.Token == "" || time.Until(i.ExpiresAt) > 5*time.Minute || i.UserID != bob {
		t.Fatalf("got %+v", i)
	}
	who := want[me](t, call(t, i.Token, "GET", "/api/v1/me", nil), http.StatusOK)
	if who.User.ID != bob || who.MFALevel != 0 || len(who.Memberships) != 1 || who.Memberships[0].OrgID != acme {
		t.Errorf("got %+v", who)
	}
	project := map[string]any{"title": "x", "sensitivity": "internal", "pii": false}
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/api/v1/app/orgs/" + acme + "/projects", "200"},
		{"GET", "/api/v1/org/" + acme, "200"},
		{"POST", "/api/v1/app/orgs/" + acme + "/projects", "201"},            // asked to write
		{"GET", "/api/v1/app/orgs/" + globex + "/projects", "404 not_found"}, // though bob is a guest there
		{"GET", "/api/v1/admin/orgs", "403 wrong_audience"},
		{"POST", "/api/v1/admin/users/" + bob + "/disable", "403 wrong_audience"},
	} {
		var send any
		if strings.HasSuffix(c.path, "/projects") && c.method == "POST" {
			send = project
		}
		check(t, call(t, i.Token, c.method, c.path, send), c.want)
	}
	wantFailure(t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/impersonations/"+i.ID+"/approve", nil), http.StatusForbidden, "not_oneself")
	reader := begin(acme, false)
	wantFailure(t, call(t, reader.Token, "POST", "/api/v1/app/orgs/"+acme+"/projects", project), http.StatusForbidden, "impersonation_readonly")

	seen := want[list[impersonation]](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/impersonations?limit=200", nil), http.StatusOK).Items
	at := slices.IndexFunc(seen, func(one impersonation) bool { return one.ID == i.ID })
	if at < 0 || seen[at].Token != "" {
		t.Fatalf("the organisation sees %+v", seen)
	}
	eventually(t, 20*time.Second, "the beginning is in the organisation's log", func() bool { return len(auditOf(t, i.ID)) == 1 })
	eventually(t, 20*time.Second, "what was tried tells who was behind it", func() bool {
		type entry struct {
			Actor struct {
				ID             string `json:"id"`
				ImpersonatorID string `json:"impersonator_id"`
			}
		}
		r := call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events?action=create&resource=project&actor="+bob+"&limit=200", nil)
		for _, e := range want[list[entry]](t, r, http.StatusOK).Items {
			if e.Actor.ID == bob && e.Actor.ImpersonatorID == i.ImpersonatorID {
				return true
			}
		}
		return false
	})

	// The organisation ends it.
	if r := call(t, adaOrg.token(t), "DELETE", "/api/v1/org/"+acme+"/impersonations/"+i.ID, nil); r.status/100 != 2 {
		t.Fatalf("end: %d %s", r.status, r.body)
	}
	eventually(t, 5*time.Second, "the token is refused", func() bool {
		return call(t, i.Token, "GET", "/api/v1/me", nil).status == http.StatusUnauthorized
	})
	wantFailure(t, call(t, i.Token, "GET", "/api/v1/me", nil), http.StatusUnauthorized, "token_revoked")

	// So does the platform, and an organisation sees only what concerns itself.
	other := begin(globex, false)
	wantFailure(t, call(t, adaOrg.token(t), "DELETE", "/api/v1/org/"+acme+"/impersonations/"+other.ID, nil), http.StatusNotFound, "not_found")
	if r := call(t, root.token(t), "DELETE", "/api/v1/admin/impersonations/"+other.ID, nil); r.status/100 != 2 {
		t.Fatalf("end: %d %s", r.status, r.body)
	}
	ended := want[impersonation](t, call(t, root.token(t), "GET", "/api/v1/admin/impersonations/"+other.ID, nil), http.StatusOK)
	if ended.EndedAt == nil {
		t.Errorf("not ended: %+v", ended)
	}
}

func TestNobodyActsAsPlatformStaffOrForLong(t *testing.T) {
	t.Parallel()
	root.token(t)
	support := caller{user: "support@tenantry.test", client: "admin-console"}
	staff := want[me](t, call(t, support.token(t), "GET", "/api/v1/me", nil), http.StatusOK).User.ID
	ask := func(edit map[string]any) reply {
		body := map[string]any{"user_id": staff, "org_id": acme, "reason": "r", "minutes": 5}
		for k, v := range edit {
			body[k] = v
		}
		return call(t, rootMFA.token(t), "POST", "/api/v1/admin/impersonations", body)
	}
	wantFailure(t, ask(nil), http.StatusForbidden, "policy_denied")
	for _, edit := range []map[string]any{{"minutes": 61}, {"minutes": 0}, {"minutes": -1}, {"reason": " "}, {"reason": ""}, {"org_id": "00000000-0000-0000-0000-000000000000"}} {
		wantFailure(t, ask(edit), http.StatusBadRequest, "validation_failed")
	}
}
