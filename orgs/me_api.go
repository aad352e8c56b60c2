package orgs

import (
	"context"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.dev/types/uuid"
)

// MeResponse is who the caller is and where they belong.
type MeResponse struct {
	User        MeUser       `json:"user"`
	Audience    string       `json:"audience" schema:"enum=tenantry-admin|tenantry-org|tenantry-app"`
	MFALevel    int          `json:"mfa_level"`
	RealmRoles  []string     `json:"realm_roles"`
	Memberships []Membership `json:"memberships"`
}

// MeUser is the caller's own profile.
type MeUser struct {
	ID            string `json:"id"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Username      string `json:"username"`
}

// Membership is what the caller is in one organisation.
type Membership struct {
	OrgID    uuid.UUID        `json:"org_id"`
	Slug     string           `json:"slug"`
	OrgRoles []string         `json:"org_roles"`
	Teams    []TeamMembership `json:"teams"`
}

// TeamMembership is what the caller is in one team.
type TeamMembership struct {
	TeamID    uuid.UUID `json:"team_id"`
	TeamRoles []string  `json:"team_roles"`
}

// Me says who the caller is. Every audience may ask; the answer is about the caller alone.
//
//encore:api auth method=GET path=/api/v1/me
func (s *Service) Me(ctx context.Context) (*MeResponse, error) {
	p, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "user", ID: p.ID(), OwnerID: p.ID()}); err != nil {
		return nil, err
	}
	user, err := uuid.FromString(p.Caller.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	rows, err := s.store.memberships(ctx, user)
	if err != nil {
		return nil, err
	}
	c := p.Caller
	out := &MeResponse{
		User:        MeUser{ID: c.UserID, Email: c.Email, EmailVerified: c.EmailVerified, Username: c.Username},
		Audience:    c.Audience,
		MFALevel:    c.MFALevel,
		RealmRoles:  append([]string{}, c.RealmRoles...),
		Memberships: []Membership{},
	}
	for _, m := range rows {
		if c.Narrowed(m.OrgID.String(), m.Slug) {
			continue
		}
		out.Memberships = append(out.Memberships, Membership{OrgID: m.OrgID, Slug: m.Slug, OrgRoles: m.OrgRoles, Teams: teamMemberships(m.Teams)})
	}
	return out, nil
}
