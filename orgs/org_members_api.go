package orgs

import (
	"context"
	"errors"
	"time"

	"encore.app/authz"
	"encore.app/identity"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

// Member is a user in an organisation.
type Member struct {
	UserID    uuid.UUID        `json:"user_id"`
	Email     string           `json:"email"`
	Name      string           `json:"name"`
	OrgRoles  []string         `json:"org_roles"` // owner, admin, billing, auditor, member, guest
	Teams     []TeamMembership `json:"teams"`
	Version   int64            `json:"version"`
	CreatedAt time.Time        `json:"created_at"`
	ETag      string           `json:"etag,omitempty" header:"ETag"` // for If-Match; not in lists
}

func (m member) payload(p identity.Profile) Member {
	return Member{
		UserID: m.UserID, Email: p.Email, Name: p.Name, OrgRoles: m.OrgRoles, Teams: teamMemberships(m.Teams),
		Version: m.Version, CreatedAt: m.CreatedAt.UTC(),
	}
}

// answer is the answer about one member.
func (m member) answer(ctx context.Context) (*Member, error) {
	profiles, err := identity.Profiles(ctx, []uuid.UUID{m.UserID})
	if err != nil {
		return nil, err
	}
	out := m.payload(profiles[m.UserID])
	out.ETag = etag.Of(m.Version)
	return &out, nil
}

// ListMembersResponse is one page.
type ListMembersResponse struct {
	Items      []Member `json:"items"`
	NextCursor string   `json:"next_cursor"`
}

// ListMembers lists who belongs to the organisation.
//
// Its members may, guests may not. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/members
func (s *Service) ListMembers(ctx context.Context, org_id uuid.UUID, r *PageRequest) (*ListMembersResponse, error) {
	if _, err := authz.Check(ctx, "list", membershipIn(org_id)); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.members(ctx, org_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	items, next, err := peopleOf(ctx, rows, limit, func(m member) uuid.UUID { return m.UserID }, member.payload)
	if err != nil {
		return nil, err
	}
	return &ListMembersResponse{Items: items, NextCursor: next}, nil
}

// GetMember is one member of the organisation.
//
// Its members may, guests may not. Refuses with not_found and policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/members/:user_id
func (s *Service) GetMember(ctx context.Context, org_id, user_id uuid.UUID) (*Member, error) {
	m, err := s.memberOf(ctx, org_id, user_id)
	if err != nil {
		return nil, err
	}
	if _, err := authz.Check(ctx, "read", m.attributes(org_id)); err != nil {
		return nil, err
	}
	return m.answer(ctx)
}

// ChangeRolesRequest replaces a member's roles.
type ChangeRolesRequest struct {
	IfMatch  string   `header:"If-Match"`
	OrgRoles []string `json:"org_roles" schema:"minItems=1;uniqueItems;items.enum=owner|admin|billing|auditor|member|guest"`
}

// Validate checks the request.
func (r *ChangeRolesRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	checkRoles(&c, "org_roles", r.OrgRoles, orgRoles)
	return c.Err()
}

// ChangeRoles replaces a member's roles.
//
// Owners and administrators may; only owners give or take the role owner. Refuses with
// validation_failed, not_found, last_owner (400), version_conflict, org_suspended and policy_denied.
//
//encore:api auth method=PATCH path=/api/v1/org/:org_id/members/:user_id
func (s *Service) ChangeRoles(ctx context.Context, org_id, user_id uuid.UUID, r *ChangeRolesRequest) (*Member, error) {
	m, err := latest(r.IfMatch, func() (member, error) { return s.changeRoles(ctx, org_id, user_id, r) })
	if err != nil {
		return nil, err
	}
	return m.answer(ctx)
}

func (s *Service) changeRoles(ctx context.Context, org, user uuid.UUID, r *ChangeRolesRequest) (member, error) {
	m, err := s.memberOf(ctx, org, user)
	if err != nil {
		return member{}, err
	}
	d, err := authz.Check(ctx, "membership:change_roles", m.attributes(org, r.OrgRoles...))
	if err != nil {
		return member{}, err
	}
	if err := matches(r.IfMatch, m.Version); err != nil {
		return member{}, err
	}
	e, err := m.event(ctx, org, "membership:change_roles", d, map[string]any{"org_roles": fromTo(m.OrgRoles, r.OrgRoles)})
	if err != nil {
		return member{}, err
	}
	m, err = s.store.changeRoles(ctx, org, m, r.OrgRoles, e)
	return m, memberNotWritten(err)
}

// RemoveMember ends a membership, in the organisation's teams too. What the member owned stays.
//
// Owners and administrators may, only owners an owner; everybody may leave. Refuses with not_found,
// last_owner (400), version_conflict, org_suspended and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/members/:user_id
func (s *Service) RemoveMember(ctx context.Context, org_id, user_id uuid.UUID, r *VersionRequest) error {
	return latestDone(r.IfMatch, func() error {
		m, err := s.memberOf(ctx, org_id, user_id)
		if err != nil {
			return err
		}
		d, err := authz.Check(ctx, "delete", m.attributes(org_id))
		if err != nil {
			return err
		}
		if err := matches(r.IfMatch, m.Version); err != nil {
			return err
		}
		e, err := m.event(ctx, org_id, "delete", d, map[string]any{"org_roles": m.OrgRoles})
		if err != nil {
			return err
		}
		return memberNotWritten(s.store.removeMember(ctx, org_id, m, e))
	})
}

// memberOf is a member that the caller will be asked about; whether there is one is told only to
// those who may list members.
func (s *Service) memberOf(ctx context.Context, org, user uuid.UUID) (member, error) {
	m, ok, err := s.store.member(ctx, org, user)
	if err == nil && !ok {
		err = absent(ctx, membershipIn(org), "member")
	}
	return m, err
}

func memberNotWritten(err error) error {
	if errors.Is(err, errLastOwner) {
		return fault.New(errs.FailedPrecondition, fault.LastOwner, "an organisation needs an owner: make somebody else one first")
	}
	return err
}
