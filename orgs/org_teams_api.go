package orgs

import (
	"context"
	"errors"
	"net/http"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

// Team is a group of members that owns resources together.
type Team struct {
	ID         uuid.UUID `json:"id"`
	OrgID      uuid.UUID `json:"org_id"`
	Name       string    `json:"name"`
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"created_at"`
	ETag       string    `json:"etag,omitempty" header:"ETag"` // for If-Match; not in lists
	HTTPStatus int       `json:"-" encore:"httpstatus"`
}

func (t team) payload() Team {
	return Team{ID: t.ID, OrgID: t.OrgID, Name: t.Name, Version: t.Version, CreatedAt: t.CreatedAt.UTC()}
}

// answer is the answer about one team.
func (t team) answer(status int) *Team {
	out := t.payload()
	out.ETag, out.HTTPStatus = etag.Of(t.Version), status
	return &out
}

// attributes is the team as policies see it: to them, a team is its own team.
func (t team) attributes() authz.Resource {
	return authz.Resource{Kind: "team", ID: t.ID.String(), OrgID: t.OrgID.String(), TeamID: t.ID.String()}
}

func (t team) event(ctx context.Context, action string, d authz.Decision, changes map[string]any) (event.Event, error) {
	return event.New(ctx, t.OrgID, action, event.Resource{Kind: "team", ID: t.ID.String()}, event.Succeeded, d).With(changes)
}

// ListTeamsResponse is one page, oldest first.
type ListTeamsResponse struct {
	Items      []Team `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// ListTeams lists the organisation's teams.
//
// Its members may, guests may not. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/teams
func (s *Service) ListTeams(ctx context.Context, org_id uuid.UUID, r *PageRequest) (*ListTeamsResponse, error) {
	if _, err := authz.Check(ctx, "list", teamIn(org_id)); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.teams(ctx, org_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	items, next := pageOf(rows, limit, func(t team) uuid.UUID { return t.ID }, team.payload)
	return &ListTeamsResponse{Items: items, NextCursor: next}, nil
}

// TeamRequest names a team.
type TeamRequest struct {
	IfMatch string `header:"If-Match"`
	Name    string `json:"name" schema:"text=200"`
}

// Validate checks the request.
func (r *TeamRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	c.Text("name", r.Name, maxName)
	return c.Err()
}

// CreateTeam adds a team without members.
//
// Owners and administrators may. Refuses with validation_failed, already_exists (409, the name),
// org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/teams
func (s *Service) CreateTeam(ctx context.Context, org_id uuid.UUID, r *TeamRequest) (*Team, error) {
	t := team{ID: rowid.New(), OrgID: org_id, Name: r.Name}
	d, err := authz.Check(ctx, "create", t.attributes())
	if err != nil {
		return nil, err
	}
	e, err := t.event(ctx, "create", d, map[string]any{"name": t.Name})
	if err != nil {
		return nil, err
	}
	if t, err = s.store.createTeam(ctx, t, e); err != nil {
		return nil, teamNotWritten(err)
	}
	return t.answer(http.StatusCreated), nil
}

// GetTeam is one team of the organisation.
//
// Its members may, guests may not. Refuses with not_found and policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/teams/:team_id
func (s *Service) GetTeam(ctx context.Context, org_id, team_id uuid.UUID) (*Team, error) {
	t, _, err := s.decidedTeam(ctx, "read", org_id, team_id)
	if err != nil {
		return nil, err
	}
	return t.answer(http.StatusOK), nil
}

// RenameTeam gives a team another name.
//
// Owners and administrators of the organisation and leads of the team may. Refuses with
// validation_failed, not_found, already_exists (409, the name), version_conflict, org_suspended and
// policy_denied.
//
//encore:api auth method=PATCH path=/api/v1/org/:org_id/teams/:team_id
func (s *Service) RenameTeam(ctx context.Context, org_id, team_id uuid.UUID, r *TeamRequest) (*Team, error) {
	return latest(r.IfMatch, func() (*Team, error) { return s.renameTeam(ctx, org_id, team_id, r) })
}

func (s *Service) renameTeam(ctx context.Context, org, id uuid.UUID, r *TeamRequest) (*Team, error) {
	t, d, err := s.decidedTeam(ctx, "update", org, id)
	if err != nil {
		return nil, err
	}
	if err := matches(r.IfMatch, t.Version); err != nil {
		return nil, err
	}
	e, err := t.event(ctx, "update", d, map[string]any{"name": fromTo(t.Name, r.Name)})
	if err != nil {
		return nil, err
	}
	t.Name = r.Name
	if t, err = s.store.updateTeam(ctx, t, e); err != nil {
		return nil, teamNotWritten(err)
	}
	return t.answer(http.StatusOK), nil
}

// DeleteTeam removes a team that owns nothing any more. Its members stay in the organisation.
//
// Owners and administrators may. Refuses with not_found, in_use (400), version_conflict, org_suspended
// and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/teams/:team_id
func (s *Service) DeleteTeam(ctx context.Context, org_id, team_id uuid.UUID, r *VersionRequest) error {
	return latestDone(r.IfMatch, func() error {
		t, d, err := s.decidedTeam(ctx, "delete", org_id, team_id)
		if err != nil {
			return err
		}
		if err := matches(r.IfMatch, t.Version); err != nil {
			return err
		}
		e, err := t.event(ctx, "delete", d, map[string]any{"name": t.Name})
		if err != nil {
			return err
		}
		return teamNotWritten(s.store.deleteTeam(ctx, t, e))
	})
}

// teamIn is any team of an organisation.
func teamIn(org uuid.UUID) authz.Resource { return authz.Resource{Kind: "team", OrgID: org.String()} }

// decidedTeam is a team with the decision that lets the caller do action to it; whether there is one
// is told only to those who may list teams.
func (s *Service) decidedTeam(ctx context.Context, action string, org, id uuid.UUID) (team, authz.Decision, error) {
	t, ok, err := s.store.team(ctx, org, id)
	if err != nil {
		return team{}, authz.Decision{}, err
	}
	if !ok {
		return team{}, authz.Decision{}, absent(ctx, teamIn(org), "team")
	}
	d, err := authz.Check(ctx, action, t.attributes())
	return t, d, err
}

func teamNotWritten(err error) error {
	switch {
	case errors.Is(err, errTeamNameTaken):
		return fault.New(errs.AlreadyExists, fault.AlreadyExists, "a team with this name exists")
	case errors.Is(err, errTeamInUse):
		return fault.New(errs.FailedPrecondition, fault.InUse, "the team still owns projects, documents or patient records")
	}
	return err
}
