package principal

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestRolesWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ held, wanted, want []string }{
		{[]string{"owner"}, []string{"member"}, []string{"member"}},
		{[]string{"owner"}, []string{"owner", "member"}, []string{"owner"}},
		{[]string{"admin"}, []string{"owner"}, []string{"admin"}},
		{[]string{"member"}, []string{"admin"}, []string{"member"}},
		{[]string{"guest"}, []string{"admin"}, []string{"guest"}},
		{[]string{"billing"}, []string{"auditor"}, []string{"member"}},
		{[]string{"billing", "auditor"}, []string{"admin"}, []string{"auditor", "billing"}},
		{nil, []string{"owner"}, nil},
		{[]string{"owner"}, nil, nil},
		{[]string{"superuser"}, []string{"owner"}, nil},
	} {
		if got := RolesWithin(c.held, c.wanted); !slices.Equal(got, c.want) {
			t.Errorf("%v within %v: got %v, want %v", c.wanted, c.held, got, c.want)
		}
	}
}

// The policies say which roles a role includes; what is said here must be the same.
func TestIncludesIsWhatThePoliciesDerive(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../policies/org_roles.yaml")
	if err != nil {
		t.Fatal(err)
	}
	derived := regexp.MustCompile(`- name: org_(\w+)[\s\S]*?hasIntersection\(P\.attr\.org_roles, \[([^\]]*)\]\)`).FindAllStringSubmatch(string(text), -1)
	if len(derived) != len(includes)-1 { // nobody asks for owners alone
		t.Fatalf("found %d derived roles", len(derived))
	}
	for _, d := range derived {
		lesser, holders := d[1], strings.Split(strings.ReplaceAll(strings.ReplaceAll(d[2], `"`, ""), " ", ""), ",")
		for role, included := range includes {
			has := role == lesser || slices.Contains(included, lesser)
			if has != slices.Contains(holders, role) {
				t.Errorf("%s includes %s: here %v, in the policies %v", role, lesser, has, !has)
			}
		}
	}
}

func TestAKeyHasNoMoreThanItsRolesAndItsMakers(t *testing.T) {
	t.Parallel()
	tenant := &Tenant{OrgID: "o", Status: "active", OrgRoles: []string{"member"}, Teams: []Team{{ID: "t", Roles: []string{"lead"}}}}
	p := New(&Caller{UserID: "u", APIKeyID: "k", KeyRoles: []string{"admin"}}, tenant)
	if !slices.Equal(p.Tenant.OrgRoles, []string{"member"}) || p.Tenant.Teams != nil {
		t.Errorf("got %+v", p.Tenant)
	}
	a := attrs(t, p)
	if roles := a["org_roles"].([]any); len(roles) != 1 || roles[0] != "member" || len(a["team_ids"].([]any)) != 0 {
		t.Errorf("policies see %v", a)
	}
	if len(tenant.Teams) != 1 {
		t.Error("the maker's own tenant was changed")
	}
	if same := New(&Caller{UserID: "u"}, tenant); same.Tenant != tenant {
		t.Error("a person is bounded")
	}
}
