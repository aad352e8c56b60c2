package gateway

import (
	"context"
	"testing"

	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	encore "encore.dev"
)

// admitted is what becomes of a caller at a path of an organisation.
func admitted(t *testing.T, c principal.Caller, path, org string) (*principal.Principal, fault.Reason) {
	t.Helper()
	data := &encore.Request{Type: encore.APICall, Service: "svc", Endpoint: "Endpoint", Path: path}
	if org != "" {
		data.PathParams = encore.PathParams{{Name: "org_id", Value: org}}
	}
	p, err := admit(context.Background(), data, &c)
	return p, fault.DetailsOf(err).Reason
}

func TestABoundCredentialStaysInItsOrganisation(t *testing.T) {
	ours, theirs := rowid.New().String(), rowid.New().String()
	key := principal.Caller{UserID: rowid.New().String(), APIKeyID: rowid.New().String(), KeyRoles: []string{"owner"}, OrgIDClaim: ours}
	acting := principal.Caller{UserID: rowid.New().String(), ImpersonatorID: rowid.New().String(), OrgIDClaim: ours}
	for name, test := range map[string]struct {
		caller    principal.Caller
		path, org string
		want      fault.Reason
	}{
		"a key whose maker has left":        {key, "/api/v1/org/" + ours, ours, fault.TokenRevoked},
		"a key elsewhere":                   {key, "/api/v1/org/" + theirs, theirs, fault.NotFoundReason},
		"a key among the staff":             {key, "/api/v1/admin/orgs/" + ours, ours, fault.WrongAudience},
		"a key outside any organisation":    {key, "/api/v1/app/invitations/accept", "", fault.WrongAudience},
		"a key that asks who it is":         {key, "/api/v1/me", "", fault.WrongAudience},
		"a key that asks what it may":       {key, "/api/v1/authz/check", "", ""},
		"acting as one who has left":        {acting, "/api/v1/app/orgs/" + ours, ours, fault.NotFoundReason},
		"acting elsewhere":                  {acting, "/api/v1/app/orgs/" + theirs, theirs, fault.NotFoundReason},
		"acting among the staff":            {acting, "/api/v1/admin/users", "", fault.WrongAudience},
		"acting outside any organisation":   {acting, "/api/v1/app/orgs", "", fault.WrongAudience},
		"a path that no row could hold":     {acting, "/api/v1/app/orgs/" + ours, ours + "\x00", fault.ValidationFailed},
		"acting and asking who":             {acting, "/api/v1/me", "", ""},
		"acting at a path that is not ours": {acting, "/api/v1/else", "", fault.WrongAudience},
	} {
		t.Run(name, func(t *testing.T) {
			p, reason := admitted(t, test.caller, test.path, test.org)
			if reason != test.want || (p == nil) != (test.want != "") {
				t.Errorf("got %+v, %q, want %q", p, reason, test.want)
			}
			if p != nil && p.Caller.Audience != principal.AudienceApp {
				t.Errorf("audience %q", p.Caller.Audience)
			}
		})
	}
}
