package orgs

import (
	"context"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

// maxToken is more than any token is long.
const maxToken = 200

// AcceptRequest proves an invitation.
type AcceptRequest struct {
	Token string `json:"token" encore:"sensitive" schema:"text=200"`
}

// Validate checks the request.
func (r *AcceptRequest) Validate() error {
	var c fault.Checks
	c.Text("token", r.Token, maxToken)
	return c.Err()
}

// AcceptInvitation makes the caller a member of the organisation that invited them.
//
// Whoever has the token and, verified, the address that was invited may, once. Refuses with not_found
// (every other token: unknown, used, revoked, expired, or for another address), email_unverified (403),
// seat_limit (400), already_exists (409, a member already) and org_suspended.
//
//encore:api auth method=POST path=/api/v1/app/invitations/accept
func (s *Service) AcceptInvitation(ctx context.Context, r *AcceptRequest) (*Membership, error) {
	p, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	i, offered, err := s.offered(ctx, r.Token, p.Caller.Email)
	if err != nil {
		return nil, err
	}
	if !offered { // to the policies, an invitation of an organisation that could be any
		i = invitation{OrgStatus: statusActive}
	}
	d, err := authz.Check(ctx, "invitation:accept", i.attributes())
	if err != nil {
		return nil, err
	}
	switch {
	case !offered:
		return nil, fault.NotFound("invitation")
	case !p.Caller.EmailVerified:
		return nil, fault.New(errs.PermissionDenied, fault.EmailUnverified, "verify your e-mail address first")
	}
	user, err := uuid.FromString(p.Caller.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	e, err := i.event(ctx, "invitation:accept", d, map[string]any{"user_id": user, "org_roles": i.OrgRoles, "team_ids": i.TeamIDs})
	if err != nil {
		return nil, err
	}
	if err := s.store.accept(ctx, i, user, e); err != nil {
		return nil, invitationNotWritten(err)
	}
	return s.joined(ctx, i.OrgID, user)
}

// offered finds the pending invitation of a token, if it is for this address. An address that nobody
// verified is told of it too: it holds the token.
func (s *Service) offered(ctx context.Context, token, email string) (invitation, bool, error) {
	org, hash, ok := parseToken(token)
	if !ok {
		return invitation{}, false, nil
	}
	i, ok, err := s.store.invitationByToken(ctx, org, hash)
	if err != nil || !ok || i.Status != invitationPending || i.Email != normalEmail(email) {
		return invitation{}, false, err
	}
	return i, true, nil
}

// joined is what the caller has become.
func (s *Service) joined(ctx context.Context, org, user uuid.UUID) (*Membership, error) {
	m, ok, err := s.store.member(ctx, org, user)
	if err != nil {
		return nil, err
	}
	o, known, err := s.store.org(ctx, tenantdb.Org(org), org)
	if err != nil {
		return nil, err
	}
	if !ok || !known { // thrown out again in this very moment
		return nil, fault.NotFound("membership")
	}
	return &Membership{OrgID: org, Slug: o.Slug, OrgRoles: m.OrgRoles, Teams: teamMemberships(m.Teams)}, nil
}
