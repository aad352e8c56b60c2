package identity

import (
	"context"
	"testing"
	"time"

	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
)

// asStaff is the context of a request by somebody with a platform role.
func asStaff(id uuid.UUID, mfa int, roles ...string) context.Context {
	return principal.NewContext(context.Background(), principal.New(&principal.Caller{
		UserID: id.String(), Audience: principal.AudienceAdmin, RealmRoles: roles, MFALevel: mfa, AuthTime: time.Now(),
	}, nil))
}

// The whole of it, with the real policies: one administrator begins, the same one cannot approve, a
// second one with a second factor can.
func TestASecondAdministratorApproves(t *testing.T) {
	t.Parallel()
	s := &Service{db: open(), users: newUsers(open(), time.Now), keys: newKeys(open(), time.Now), impersonations: newImpersonations(open(), time.Now, true)}
	first, second, target, org := somebody(t, "platform_admin"), somebody(t, "platform_admin"), somebody(t), rowid.New()
	ask := &ImpersonateRequest{UserID: target, OrgID: org, Reason: "r", Minutes: 5, Write: true}
	if err := ask.Validate(); err != nil {
		t.Fatal(err)
	}
	member := func(_ context.Context, user, in uuid.UUID) (bool, error) { return user == target && in == org, nil }
	staff, elsewhere := *ask, *ask
	staff.UserID, elsewhere.OrgID = second, rowid.New()
	for name, c := range map[string]struct {
		ctx  context.Context
		ask  *ImpersonateRequest
		want fault.Reason
	}{
		"without a second factor":  {asStaff(first, 1, "platform_admin"), ask, fault.MFARequired},
		"as support":               {asStaff(first, 2, "platform_support"), ask, fault.PolicyDenied},
		"as oneself":               {asStaff(target, 2, "platform_admin"), ask, fault.NotOneself},
		"as staff":                 {asStaff(first, 2, "platform_admin"), &staff, fault.PolicyDenied},
		"where they do not belong": {asStaff(first, 2, "platform_admin"), &elsewhere, fault.NotFoundReason},
	} {
		if _, err := BeginImpersonation(c.ctx, c.ask, member); fault.DetailsOf(err).Reason != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	i, err := BeginImpersonation(asStaff(first, 2, "platform_admin"), ask, member)
	if err != nil {
		t.Fatal(err)
	}
	write := func() bool {
		t.Helper()
		caller, err := s.authenticate(context.Background(), "Bearer "+i.Token)
		if err != nil || caller.ImpersonatorID != first.String() || caller.UserID != target.String() {
			t.Fatalf("got %+v, %v", caller, err)
		}
		return caller.Write
	}
	if write() {
		t.Fatal("it writes before anybody approved")
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		want fault.Reason
	}{
		"the one who began it":    {asStaff(first, 2, "platform_admin"), fault.NotOneself},
		"without a second factor": {asStaff(second, 1, "platform_admin"), fault.MFARequired},
		"as support":              {asStaff(second, 2, "platform_support"), fault.PolicyDenied},
	} {
		if _, err := s.ApproveImpersonation(c.ctx, i.ID); fault.DetailsOf(err).Reason != c.want || write() {
			t.Errorf("approved %s: %v, want %s", name, err, c.want)
		}
	}
	approved, err := s.ApproveImpersonation(asStaff(second, 2, "platform_admin"), i.ID)
	if err != nil || approved.ApprovedBy == nil || *approved.ApprovedBy != second || approved.Token != "" || !write() {
		t.Errorf("got %+v, %v", approved, err)
	}
	if n := countOutbox(t, i.ID); n != 2 {
		t.Errorf("%d events for a beginning and an approval", n)
	}
	if _, err := s.RevokeSessions(asStaff(second, 2, "platform_admin"), first, &RevokeSessionsRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.authenticate(context.Background(), "Bearer "+i.Token); fault.DetailsOf(err).Reason != fault.TokenRevoked {
		t.Errorf("the impersonator's sessions are revoked, the impersonation is not: %v", err)
	}
}

// Whoever administers the platform cannot lock themselves out.
func TestNobodyDisablesThemselves(t *testing.T) {
	t.Parallel()
	s := &Service{db: open(), users: newUsers(open(), time.Now), keys: newKeys(open(), time.Now), impersonations: newImpersonations(open(), time.Now, true)}
	admin, other := somebody(t, "platform_admin"), somebody(t)
	ctx := asStaff(admin, 2, "platform_admin")
	if _, err := s.DisableUser(ctx, admin); fault.DetailsOf(err).Reason != fault.NotOneself {
		t.Errorf("got %v", err)
	}
	for range 2 { // the second changes nothing
		if got, err := s.DisableUser(ctx, other); err != nil || got.Status != statusDisabled {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if n := countOutbox(t, other); n != 1 {
		t.Errorf("%d events for one change", n)
	}
	if got, err := s.EnableUser(ctx, other); err != nil || got.Status != statusActive {
		t.Errorf("got %+v, %v", got, err)
	}
	exec(t, tenantdb.Scope{}, "update identity.users set status = 'erased' where id = $1", other)
	if _, err := s.EnableUser(ctx, other); fault.DetailsOf(err).Reason != fault.ValidationFailed {
		t.Errorf("an erased user was enabled: %v", err)
	}
}
