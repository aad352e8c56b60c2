package orgs

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

const maxName = 200

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CreateOrgRequest names a new organisation.
type CreateOrgRequest struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// Validate checks the request.
func (r *CreateOrgRequest) Validate() error {
	var c fault.Checks
	c.Text("name", r.Name, maxName)
	switch {
	case r.Slug == "":
		c.Add("slug", "is required")
	case !slugPattern.MatchString(r.Slug):
		c.Add("slug", "must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -")
	}
	return c.Err()
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
	if errors.Is(err, errSlugTaken) {
		return nil, fault.New(errs.AlreadyExists, fault.AlreadyExists, "an organisation with this slug exists")
	}
	if err != nil {
		return nil, err
	}
	out := o.payload()
	out.HTTPStatus = http.StatusCreated
	return out, nil
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
	rows, next := page.Cut(rows, limit, func(o org) any { return o.ID })
	out := &ListOrgsResponse{Items: make([]Org, len(rows)), NextCursor: next}
	for i, o := range rows {
		out.Items[i] = *o.payload()
	}
	return out, nil
}

// ReadOrg is one organisation, for platform staff.
//
//encore:api auth method=GET path=/api/v1/admin/orgs/:org_id
func (s *Service) ReadOrg(ctx context.Context, org_id uuid.UUID) (*Org, error) {
	return s.read(ctx, platform, org_id)
}
