package orgs

import (
	"context"
	"errors"
	"net/http"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/types/uuid"
)

const (
	maxTitle = 200
	maxBody  = 64 << 10
)

var sensitivities = []string{"public", "internal", "confidential", "restricted"}

// CreateProjectRequest describes a new project.
type CreateProjectRequest struct {
	Title       string     `json:"title"`
	Body        string     `json:"body,omitempty"`
	TeamID      *uuid.UUID `json:"team_id,omitempty"`
	Sensitivity string     `json:"sensitivity"` // public, internal, confidential, restricted
	PII         *bool      `json:"pii"`         // holds personal data; required, so that nobody forgets to say
}

// Validate checks the request.
func (r *CreateProjectRequest) Validate() error {
	var c fault.Checks
	c.Text("title", r.Title, maxTitle)
	if r.Body != "" {
		c.Text("body", r.Body, maxBody)
	}
	c.OneOf("sensitivity", r.Sensitivity, sensitivities...)
	if r.PII == nil {
		c.Add("pii", "is required")
	}
	return c.Err()
}

// CreateProject adds a project, owned by the caller.
//
// Members may. Refuses with validation_failed, mfa_required (restricted or personal data),
// org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/app/orgs/:org_id/projects
func (s *Service) CreateProject(ctx context.Context, org_id uuid.UUID, r *CreateProjectRequest) (*Project, error) {
	creator, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := uuid.FromString(creator.Caller.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	p := project{
		ID: rowid.New(), OrgID: org_id, TeamID: r.TeamID, OwnerID: owner,
		Title: r.Title, Body: r.Body, Sensitivity: r.Sensitivity, PII: *r.PII,
	}
	d, err := authz.Check(ctx, "create", p.resource())
	if err != nil {
		return nil, err
	}
	e, err := event.New(ctx, org_id, "create", event.Resource{Kind: "project", ID: p.ID.String()}, event.Succeeded, d).
		With(map[string]any{"sensitivity": p.Sensitivity, "pii": p.PII})
	if err != nil {
		return nil, err
	}
	p, err = s.store.createProject(ctx, p, e)
	if errors.Is(err, errNoSuchTeam) {
		var c fault.Checks
		c.Add("team_id", "is no team of this organisation")
		return nil, c.Err()
	}
	if err != nil {
		return nil, err
	}
	out := p.payload()
	out.HTTPStatus = http.StatusCreated
	return &out, nil
}

// ListProjectsRequest asks for a page.
type ListProjectsRequest struct {
	Limit  int    `query:"limit"`
	Cursor string `query:"cursor"`
}

// Validate checks the request.
func (r *ListProjectsRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// ListProjectsResponse is one page, oldest first.
type ListProjectsResponse struct {
	Items      []Project `json:"items"`
	NextCursor string    `json:"next_cursor"`
}

// ListProjects lists exactly the projects that the caller may read.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/projects
func (s *Service) ListProjects(ctx context.Context, org_id uuid.UUID, r *ListProjectsRequest) (*ListProjectsResponse, error) {
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	visible, args, err := authz.Visible(ctx, "project", org_id.String(), projectFilter, 4)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.projects(ctx, org_id, after, limit+1, visible, args)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(p project) any { return p.ID })
	out := &ListProjectsResponse{Items: make([]Project, len(rows)), NextCursor: next}
	for i, p := range rows {
		out.Items[i] = p.payload()
	}
	return out, nil
}

// ReadProject is one project. One that the organisation does not have is not_found, whoever has it.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/projects/:id
func (s *Service) ReadProject(ctx context.Context, org_id, id uuid.UUID) (*Project, error) {
	p, ok, err := s.store.project(ctx, org_id, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		// Whether a project exists is told only to those who may list projects.
		if _, err := authz.Check(ctx, "list", authz.Resource{Kind: "project", OrgID: org_id.String()}); err != nil {
			return nil, err
		}
		return nil, fault.NotFound("project")
	}
	if _, err := authz.Check(ctx, "read", p.resource()); err != nil {
		return nil, err
	}
	out := p.payload()
	return &out, nil
}
