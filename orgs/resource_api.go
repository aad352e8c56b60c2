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

// What the endpoints of every kind of resource do. Encore wants a function an endpoint, so each kind
// has five that say which kind they mean and nothing else.

func (s *Service) createResource(ctx context.Context, k kind, org uuid.UUID, draft resource) (*Resource, error) {
	creator, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	draft.ID, draft.OrgID = rowid.New(), org
	if draft.OwnerID, err = uuid.FromString(creator.ID()); err != nil {
		return nil, fault.Internal(err)
	}
	d, err := authz.Check(ctx, "create", draft.attributes(k))
	if err != nil {
		return nil, err
	}
	e, err := draft.event(ctx, k, "create", d, map[string]any{"sensitivity": draft.Sensitivity, "pii": draft.PII, "team_id": draft.TeamID})
	if err != nil {
		return nil, err
	}
	made, err := s.store.createResource(ctx, k, draft, e)
	if err != nil {
		return nil, notWritten(err)
	}
	return made.answer(http.StatusCreated), nil
}

func (s *Service) listResources(ctx context.Context, k kind, org uuid.UUID, r *PageRequest) (*ListResourcesResponse, error) {
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	visible, args, err := authz.Visible(ctx, k.name, org.String(), k.columns(), 4)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.resources(ctx, k, org, after, limit+1, visible, args)
	if err != nil {
		return nil, err
	}
	items, next := pageOf(rows, limit, func(r resource) uuid.UUID { return r.ID }, resource.payload)
	return &ListResourcesResponse{Items: items, NextCursor: next}, nil
}

func (s *Service) readResource(ctx context.Context, k kind, org, id uuid.UUID) (*Resource, error) {
	r, _, err := s.decided(ctx, "read", k, org, id)
	if err != nil {
		return nil, err
	}
	return r.answer(http.StatusOK), nil
}

// updateResource asks twice: whether the caller may change what is there, and whether what they make
// of it is theirs to make.
func (s *Service) updateResource(ctx context.Context, k kind, org, id uuid.UUID, ifMatch string, edit func(resource) resource) (*Resource, error) {
	return latest(ifMatch, func() (*Resource, error) { return s.tryUpdateResource(ctx, k, org, id, ifMatch, edit) })
}

func (s *Service) tryUpdateResource(ctx context.Context, k kind, org, id uuid.UUID, ifMatch string, edit func(resource) resource) (*Resource, error) {
	current, _, err := s.decided(ctx, "update", k, org, id)
	if err != nil {
		return nil, err
	}
	if err := matches(ifMatch, current.Version); err != nil {
		return nil, err
	}
	proposed := edit(current)
	d, err := authz.Check(ctx, "update", proposed.attributes(k))
	if err != nil {
		return nil, err
	}
	e, err := proposed.event(ctx, k, "update", d, proposed.changes(current))
	if err != nil {
		return nil, err
	}
	updated, err := s.store.updateResource(ctx, k, proposed, e)
	if err != nil {
		return nil, notWritten(err)
	}
	return updated.answer(http.StatusOK), nil
}

func (s *Service) deleteResource(ctx context.Context, k kind, org, id uuid.UUID, ifMatch string) error {
	return latestDone(ifMatch, func() error {
		current, d, err := s.decided(ctx, "delete", k, org, id)
		if err != nil {
			return err
		}
		if err := matches(ifMatch, current.Version); err != nil {
			return err
		}
		e, err := current.event(ctx, k, "delete", d, map[string]any{"version": current.Version})
		if err != nil {
			return err
		}
		return s.store.deleteResource(ctx, k, current, e)
	})
}

// decided is the resource as it is, with the decision that lets the caller do action to it. Whether
// one exists is told only to those who may list its kind.
func (s *Service) decided(ctx context.Context, action string, k kind, org, id uuid.UUID) (resource, authz.Decision, error) {
	r, ok, err := s.store.resource(ctx, k, org, id)
	if err != nil {
		return resource{}, authz.Decision{}, err
	}
	if !ok {
		return resource{}, authz.Decision{}, absent(ctx, authz.Resource{Kind: k.name, OrgID: org.String(), Extra: k.extra()}, k.noun)
	}
	d, err := authz.Check(ctx, action, r.attributes(k))
	return r, d, err
}

// absent is the answer for what an organisation does not have: not_found to those who may list what
// is like it, the refusal to everyone else.
func absent(ctx context.Context, like authz.Resource, noun string) error {
	if _, err := authz.Check(ctx, "list", like); err != nil {
		return err
	}
	return fault.NotFound(noun)
}

func (r resource) event(ctx context.Context, k kind, action string, d authz.Decision, changes map[string]any) (event.Event, error) {
	return event.New(ctx, r.OrgID, action, event.Resource{Kind: k.name, ID: r.ID.String()}, event.Succeeded, d).With(changes)
}

// notWritten is what the caller is told of a write that did not happen.
func notWritten(err error) error {
	if errors.Is(err, errNoSuchTeam) {
		var c fault.Checks
		c.Add("team_id", "is no team of this organisation")
		return c.Err()
	}
	return err
}
