package orgs

import (
	"context"
	"net/http"
	"regexp"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/types/uuid"
)

const maxName = 200

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CreateOrgRequest names a new organisation.
type CreateOrgRequest struct {
	Slug string `json:"slug" schema:"pattern=^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"`
	Name string `json:"name" schema:"text=200"`
}

// Validate checks the request.
func (r *CreateOrgRequest) Validate() error {
	var c fault.Checks
	c.Text("name", r.Name, maxName)
	checkSlug(&c, r.Slug)
	return c.Err()
}

func checkSlug(c *fault.Checks, slug string) {
	switch {
	case slug == "":
		c.Add("slug", "is required")
	case !slugPattern.MatchString(slug):
		c.Add("slug", "must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -")
	}
}

// CreateOrg adds an organisation, on the free tier and without members.
//
// Platform administrators may. Refuses with validation_failed, already_exists (409) and policy_denied.
//
//encore:api auth method=POST path=/api/v1/admin/orgs
func (s *Service) CreateOrg(ctx context.Context, r *CreateOrgRequest) (*Org, error) {
	o := org{ID: rowid.New(), Slug: r.Slug, Name: r.Name}
	d, err := authz.Check(ctx, "create", authz.Resource{Kind: "org", ID: o.ID.String()})
	if err != nil {
		return nil, err
	}
	e, err := event.New(ctx, o.ID, "create", event.Resource{Kind: "org", ID: o.ID.String()}, event.Succeeded, d).
		With(map[string]any{"slug": o.Slug, "name": o.Name})
	if err != nil {
		return nil, err
	}
	o, err = s.store.create(ctx, o, e)
	if err != nil {
		return nil, orgNotWritten(err)
	}
	return o.answer(http.StatusCreated), nil
}

// ListOrgsResponse is one page, oldest first.
type ListOrgsResponse struct {
	Items      []Org  `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// ListOrgs lists every organisation.
//
// Platform staff may.
//
//encore:api auth method=GET path=/api/v1/admin/orgs
func (s *Service) ListOrgs(ctx context.Context, r *PageRequest) (*ListOrgsResponse, error) {
	if _, err := authz.Check(ctx, "list", authz.Resource{Kind: "org"}); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.orgs(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	items, next := pageOf(rows, limit, func(o org) uuid.UUID { return o.ID }, func(o org) Org { return *o.payload() })
	return &ListOrgsResponse{Items: items, NextCursor: next}, nil
}

// ReadOrg is one organisation, for platform staff.
//
//encore:api auth method=GET path=/api/v1/admin/orgs/:org_id
func (s *Service) ReadOrg(ctx context.Context, org_id uuid.UUID) (*Org, error) {
	return s.read(ctx, platform, org_id)
}

// PatchOrgRequest changes what it names of an organisation.
type PatchOrgRequest struct {
	IfMatch string  `header:"If-Match"`
	Name    *string `json:"name,omitempty" schema:"text=200"`
	Slug    *string `json:"slug,omitempty" schema:"pattern=^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"`
}

// Validate checks the request.
func (r *PatchOrgRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	if r.Name != nil {
		c.Text("name", *r.Name, maxName)
	}
	if r.Slug != nil {
		checkSlug(&c, *r.Slug)
	}
	if r.Name == nil && r.Slug == nil {
		c.Add("body", "changes nothing")
	}
	return c.Err()
}

// PatchOrg renames an organisation or gives it another slug.
//
// Platform administrators may. Refuses with validation_failed, not_found, already_exists (409, the
// slug), version_conflict and policy_denied.
//
//encore:api auth method=PATCH path=/api/v1/admin/orgs/:org_id
func (s *Service) PatchOrg(ctx context.Context, org_id uuid.UUID, r *PatchOrgRequest) (*Org, error) {
	return s.updateOrg(ctx, platform, org_id, r.IfMatch, r.Name, r.Slug)
}

// StatusRequest says why an organisation's status changes.
type StatusRequest struct {
	Reason string `query:"reason" schema:"plain=200"` // kept in the organisation's audit log; names no person
}

// Validate checks the request.
func (r *StatusRequest) Validate() error {
	var c fault.Checks
	c.Filter("reason", r.Reason, maxName)
	return c.Err()
}

// SuspendOrg makes an organisation read-only for everyone but the platform. To suspend it again
// changes nothing.
//
// Platform administrators with a second factor may. Refuses with mfa_required, not_found and
// policy_denied.
//
//encore:api auth method=POST path=/api/v1/admin/orgs/:org_id/suspend
func (s *Service) SuspendOrg(ctx context.Context, org_id uuid.UUID, r *StatusRequest) (*Org, error) {
	return s.setStatus(ctx, org_id, "org:suspend", statusActive, statusSuspended, r.Reason)
}

// ReactivateOrg ends a suspension. To reactivate an active organisation changes nothing.
//
// Platform administrators with a second factor may. Refuses with mfa_required, not_found and
// policy_denied.
//
//encore:api auth method=POST path=/api/v1/admin/orgs/:org_id/reactivate
func (s *Service) ReactivateOrg(ctx context.Context, org_id uuid.UUID, r *StatusRequest) (*Org, error) {
	return s.setStatus(ctx, org_id, "org:reactivate", statusSuspended, statusActive, r.Reason)
}

// InviteToOrg offers an address roles in an organisation, as Invite does: this is how one gets its
// first owner.
//
// Platform administrators with a second factor may. Refuses with validation_failed, mfa_required,
// not_found, org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/admin/orgs/:org_id/invitations
func (s *Service) InviteToOrg(ctx context.Context, org_id uuid.UUID, r *InviteRequest) (*Invitation, error) {
	o, ok, err := s.store.org(ctx, platform, org_id)
	if err != nil {
		return nil, err
	}
	if !ok {
		like := invitationIn(org_id)
		like.OrgStatus = statusActive
		if _, err := authz.Check(ctx, "create", like); err != nil {
			return nil, err
		}
		return nil, fault.NotFound("organisation")
	}
	return s.invite(ctx, r, invitation{OrgID: org_id, OrgStatus: o.Status})
}
