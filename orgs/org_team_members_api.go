package orgs

import (
	"context"
	"errors"
	"time"

	"encore.app/authz"
	"encore.app/identity"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/uuid"
)

// TeamMember is a member of the organisation in one of its teams.
type TeamMember struct {
	UserID    uuid.UUID `json:"user_id"`
	TeamID    uuid.UUID `json:"team_id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	TeamRoles []string  `json:"team_roles"` // lead, member
	CreatedAt time.Time `json:"created_at"`
}

func (m teamMember) payload(p identity.Profile) TeamMember {
	return TeamMember{
		UserID: m.UserID, TeamID: m.TeamID, Email: p.Email, Name: p.Name, TeamRoles: m.Roles, CreatedAt: m.CreatedAt.UTC(),
	}
}

// ListTeamMembersResponse is one page.
type ListTeamMembersResponse struct {
	Items      []TeamMember `json:"items"`
	NextCursor string       `json:"next_cursor"`
}

// ListTeamMembers lists who is in a team.
//
// Members of the organisation may, guests may not. Refuses with not_found and policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/teams/:team_id/members
func (s *Service) ListTeamMembers(ctx context.Context, org_id, team_id uuid.UUID, r *PageRequest) (*ListTeamMembersResponse, error) {
	if _, _, err := s.decidedTeam(ctx, "read", org_id, team_id); err != nil {
		return nil, err
	}
	like := membershipIn(org_id)
	like.TeamID = team_id.String()
	if _, err := authz.Check(ctx, "list", like); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.teamMembers(ctx, org_id, team_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	items, next, err := peopleOf(ctx, rows, limit, func(m teamMember) uuid.UUID { return m.UserID }, teamMember.payload)
	if err != nil {
		return nil, err
	}
	return &ListTeamMembersResponse{Items: items, NextCursor: next}, nil
}

// TeamRolesRequest says what a member is in a team.
type TeamRolesRequest struct {
	TeamRoles []string `json:"team_roles" schema:"minItems=1;uniqueItems;items.enum=lead|member"` // lead, member
}

// Validate checks the request.
func (r *TeamRolesRequest) Validate() error {
	var c fault.Checks
	checkRoles(&c, "team_roles", r.TeamRoles, teamRoles)
	return c.Err()
}

// PutTeamMember makes a member of the organisation one of the team, in these roles and no others.
//
// Owners and administrators of the organisation and leads of the team may. Refuses with
// validation_failed, not_found (the team or the member), org_suspended and policy_denied.
//
//encore:api auth method=PUT path=/api/v1/org/:org_id/teams/:team_id/members/:user_id
func (s *Service) PutTeamMember(ctx context.Context, org_id, team_id, user_id uuid.UUID, r *TeamRolesRequest) (*TeamMember, error) {
	m, d, err := s.decidedTeamMember(ctx, org_id, team_id, user_id)
	if err != nil {
		return nil, err
	}
	changes := map[string]any{"team_id": team_id, "team_roles": fromTo(m.rolesIn(team_id), r.TeamRoles)}
	e, err := m.event(ctx, org_id, "update", d, changes)
	if err != nil {
		return nil, err
	}
	put, err := s.store.putTeamMember(ctx, org_id, teamMember{UserID: user_id, TeamID: team_id, Roles: r.TeamRoles}, e)
	if err != nil {
		return nil, teamMemberNotWritten(err)
	}
	profiles, err := identity.Profiles(ctx, []uuid.UUID{user_id})
	if err != nil {
		return nil, err
	}
	out := put.payload(profiles[user_id])
	return &out, nil
}

// RemoveTeamMember takes a member out of a team; they stay in the organisation.
//
// Owners and administrators of the organisation and leads of the team may. Refuses with not_found,
// org_suspended and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/teams/:team_id/members/:user_id
func (s *Service) RemoveTeamMember(ctx context.Context, org_id, team_id, user_id uuid.UUID) error {
	m, d, err := s.decidedTeamMember(ctx, org_id, team_id, user_id)
	if err != nil {
		return err
	}
	changes := map[string]any{"team_id": team_id, "team_roles": fromTo(m.rolesIn(team_id), []string{})}
	e, err := m.event(ctx, org_id, "update", d, changes)
	if err != nil {
		return err
	}
	return teamMemberNotWritten(s.store.removeTeamMember(ctx, org_id, team_id, user_id, e))
}

// decidedTeamMember is a member with the decision that lets the caller put them into the team or take
// them out.
func (s *Service) decidedTeamMember(ctx context.Context, org, team, user uuid.UUID) (member, authz.Decision, error) {
	m, err := s.memberOf(ctx, org, user)
	if err != nil {
		return member{}, authz.Decision{}, err
	}
	r := m.attributes(org)
	r.TeamID = team.String()
	d, err := authz.Check(ctx, "update", r)
	return m, d, err
}

// rolesIn is what the member is in a team so far.
func (m member) rolesIn(team uuid.UUID) []string {
	for _, t := range m.Teams {
		if t.ID == team {
			return t.Roles
		}
	}
	return []string{}
}

func teamMemberNotWritten(err error) error {
	switch {
	case errors.Is(err, errNoSuchTeam):
		return fault.NotFound("team")
	case errors.Is(err, errNoSuchMember):
		return fault.NotFound("member")
	case errors.Is(err, errStale):
		return fault.NotFound("team member")
	}
	return err
}
