package orgs

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

// Invitation offers whoever has its token, and its address, roles in an organisation. The app sends
// no mail: who invites passes the token on. It is shown in the answer that makes it and never again.
type Invitation struct {
	ID         uuid.UUID   `json:"id"`
	OrgID      uuid.UUID   `json:"org_id"`
	Email      string      `json:"email"` // in lower case
	OrgRoles   []string    `json:"org_roles"`
	TeamIDs    []uuid.UUID `json:"team_ids"`
	Status     string      `json:"status" schema:"enum=pending|accepted|revoked|expired"` // pending, accepted, revoked, expired
	InvitedBy  uuid.UUID   `json:"invited_by"`
	ExpiresAt  time.Time   `json:"expires_at"`
	Version    int64       `json:"version"`
	CreatedAt  time.Time   `json:"created_at"`
	Token      string      `json:"token,omitempty" encore:"sensitive"`
	HTTPStatus int         `json:"-" encore:"httpstatus"`
}

func (i invitation) payload() Invitation {
	return Invitation{
		ID: i.ID, OrgID: i.OrgID, Email: i.Email, OrgRoles: i.OrgRoles, TeamIDs: i.TeamIDs, Status: i.Status,
		InvitedBy: i.InvitedBy, ExpiresAt: i.ExpiresAt.UTC(), Version: i.Version, CreatedAt: i.CreatedAt.UTC(),
	}
}

// answer is the one answer that holds the token.
func (i invitation) answer(token string, status int) *Invitation {
	out := i.payload()
	out.Token, out.HTTPStatus = token, status
	return &out
}

// ListInvitationsResponse is one page, oldest first.
type ListInvitationsResponse struct {
	Items      []Invitation `json:"items"`
	NextCursor string       `json:"next_cursor"`
}

// ListInvitations lists the organisation's invitations, those that are over too.
//
// Owners and administrators may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/invitations
func (s *Service) ListInvitations(ctx context.Context, org_id uuid.UUID, r *PageRequest) (*ListInvitationsResponse, error) {
	if _, err := authz.Check(ctx, "list", invitationIn(org_id)); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.invitations(ctx, org_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	items, next := pageOf(rows, limit, func(i invitation) uuid.UUID { return i.ID }, invitation.payload)
	return &ListInvitationsResponse{Items: items, NextCursor: next}, nil
}

// InviteRequest says whom to invite as what.
type InviteRequest struct {
	Email    string      `json:"email" schema:"format=email;minLength=3;maxLength=254"`
	OrgRoles []string    `json:"org_roles" schema:"minItems=1;uniqueItems;items.enum=owner|admin|billing|auditor|member|guest"`
	TeamIDs  []uuid.UUID `json:"team_ids,omitempty" schema:"maxItems=50;uniqueItems"` // teams to join as a member
}

// Validate checks the request.
func (r *InviteRequest) Validate() error {
	var c fault.Checks
	checkEmail(&c, "email", r.Email)
	checkRoles(&c, "org_roles", r.OrgRoles, orgRoles)
	if len(r.TeamIDs) > maxTeams {
		c.Add("team_ids", "names more than %d teams", maxTeams)
	}
	for i, id := range r.TeamIDs {
		if slices.Contains(r.TeamIDs[:i], id) {
			c.Add("team_ids", "names a team twice")
		}
	}
	return c.Err()
}

// Invite offers an address roles in the organisation, for as long as its setting invitations.valid_for
// says (seven days) and if invitations.allowed_domains lets it. The answer holds the token, this once.
// Another invitation that the address still had is revoked.
//
// Owners and administrators may; only owners invite owners. Refuses with validation_failed,
// org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/invitations
func (s *Service) Invite(ctx context.Context, org_id uuid.UUID, r *InviteRequest) (*Invitation, error) {
	return s.invite(ctx, r, invitation{OrgID: org_id})
}

// invite makes an invitation from a draft that says in which organisation and of what status.
func (s *Service) invite(ctx context.Context, r *InviteRequest, i invitation) (*Invitation, error) {
	inviter, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	if i.InvitedBy, err = uuid.FromString(inviter.ID()); err != nil {
		return nil, fault.Internal(err)
	}
	i.ID, i.Email, i.OrgRoles = rowid.New(), normalEmail(r.Email), r.OrgRoles
	i.TeamIDs = append([]uuid.UUID{}, r.TeamIDs...)
	d, err := authz.Check(ctx, "create", i.attributes())
	if err != nil {
		return nil, err
	}
	if i.ExpiresAt, err = s.store.invitationTerms(ctx, i.OrgID, i.Email, time.Now()); err != nil {
		return nil, err
	}
	e, err := i.event(ctx, "create", d, map[string]any{"org_roles": i.OrgRoles, "team_ids": i.TeamIDs})
	if err != nil {
		return nil, err
	}
	token, hash := newToken(i.OrgID)
	if i, err = s.store.createInvitation(ctx, i, hash, e); err != nil {
		return nil, invitationNotWritten(err)
	}
	return i.answer(token, http.StatusCreated), nil
}

// ResendInvitation gives a pending invitation another token and as much time again. The old token is
// worth nothing from now on; the answer holds the new one, this once.
//
// Whoever may invite with the same roles may. Refuses with not_found (also when it is no longer
// pending), org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/invitations/:id/resend
func (s *Service) ResendInvitation(ctx context.Context, org_id, id uuid.UUID) (*Invitation, error) {
	i, d, err := s.decidedInvitation(ctx, "create", org_id, id)
	if err != nil {
		return nil, err
	}
	e, err := i.event(ctx, "update", d, map[string]any{"resent": true})
	if err != nil {
		return nil, err
	}
	if i.ExpiresAt, err = s.store.invitationTerms(ctx, org_id, i.Email, time.Now()); err != nil {
		return nil, err
	}
	token, hash := newToken(org_id)
	if i, err = s.store.renew(ctx, i, hash, e); err != nil {
		return nil, invitationNotWritten(err)
	}
	return i.answer(token, http.StatusOK), nil
}

// RevokeInvitation ends a pending invitation.
//
// Owners and administrators may. Refuses with not_found (also when it is no longer pending),
// org_suspended and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/invitations/:id
func (s *Service) RevokeInvitation(ctx context.Context, org_id, id uuid.UUID) error {
	i, d, err := s.decidedInvitation(ctx, "delete", org_id, id)
	if err != nil {
		return err
	}
	e, err := i.event(ctx, "delete", d, map[string]any{"org_roles": i.OrgRoles})
	if err != nil {
		return err
	}
	return invitationNotWritten(s.store.revoke(ctx, org_id, id, e))
}

// decidedInvitation is an invitation with the decision that lets the caller do action to it; whether
// there is one is told only to those who may list invitations.
func (s *Service) decidedInvitation(ctx context.Context, action string, org, id uuid.UUID) (invitation, authz.Decision, error) {
	i, ok, err := s.store.invitation(ctx, org, id)
	if err != nil {
		return invitation{}, authz.Decision{}, err
	}
	if !ok {
		return invitation{}, authz.Decision{}, absent(ctx, invitationIn(org), "invitation")
	}
	d, err := authz.Check(ctx, action, i.attributes())
	return i, d, err
}

func invitationNotWritten(err error) error {
	switch {
	case errors.Is(err, errStale):
		return fault.NotFound("invitation")
	case errors.Is(err, errNoSuchTeam):
		var c fault.Checks
		c.Add("team_ids", "names a team that is none of this organisation")
		return c.Err()
	case errors.Is(err, errSeatLimit):
		return fault.New(errs.FailedPrecondition, fault.SeatLimit, "the organisation has no seat left")
	case errors.Is(err, errAlreadyMember):
		return fault.New(errs.AlreadyExists, fault.AlreadyExists, "you are a member already")
	case errors.Is(err, errOrgNotActive):
		return fault.Denied(fault.OrgSuspended, "")
	}
	return err
}
