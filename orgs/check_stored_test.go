package orgs

import (
	"context"
	"slices"
	"testing"

	"encore.app/authz/principal"
)

// Whoever is a member of two organisations is not asked about as either by their id alone.
func TestAMemberIsLookedUpInTheOrganisationThatIsNamed(t *testing.T) {
	t.Parallel()
	ctx, a, b := context.Background(), newHouse(t), newHouse(t)
	m := a.admit(roleOwner)
	b.exec(insertMember, b.org, m.UserID, []string{"member"})
	service, caller := &Service{store: open()}, &principal.Caller{UserID: m.UserID.String(), Audience: principal.AudienceOrg}
	ask := func(org string) subject {
		t.Helper()
		got, err := service.subjects(ctx, caller, []CheckItem{{Resource: CheckResource{Kind: "membership", ID: m.UserID.String(), OrgID: org}}})
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	for range 20 {
		if x := ask(""); x.as.Tenant != nil || x.resource.OrgID != "" {
			t.Fatalf("without an organisation: as %+v of %+v", x.as.Tenant, x.resource)
		}
	}
	for h, role := range map[house]string{a: roleOwner, b: "member"} {
		if x := ask(h.org.String()); x.as.Tenant == nil || !slices.Equal(x.as.Tenant.OrgRoles, []string{role}) || x.resource.OrgID != h.org.String() {
			t.Errorf("as %+v of %+v, want %s", x.as.Tenant, x.resource, role)
		}
	}
}
