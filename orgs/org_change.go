package orgs

import (
	"context"
	"errors"
	"net/http"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

const (
	statusActive    = "active"
	statusSuspended = "suspended"
)

// What the endpoints of the platform and of the organisations themselves do to an organisation.

func (s *Service) read(ctx context.Context, scope tenantdb.Scope, id uuid.UUID) (*Org, error) {
	o, _, err := s.decidedOrg(ctx, "read", scope, id)
	if err != nil {
		return nil, err
	}
	return o.answer(http.StatusOK), nil
}

// decidedOrg is an organisation with the decision that lets the caller do action to it.
func (s *Service) decidedOrg(ctx context.Context, action string, scope tenantdb.Scope, id uuid.UUID) (org, authz.Decision, error) {
	o, ok, err := s.store.org(ctx, scope, id)
	if err != nil {
		return org{}, authz.Decision{}, err
	}
	if !ok && action == "delete" {
		o.Status = statusSuspended // only such a one may be erased: whoever may is told that it is not there
	}
	r := authz.Resource{Kind: "org", ID: id.String(), OrgID: id.String(), OrgStatus: o.Status, LicenseTier: o.Tier}
	d, err := authz.Check(ctx, action, r)
	if err == nil && !ok {
		err = fault.NotFound("organisation")
	}
	return o, d, err
}

// updateOrg changes what is not nil.
func (s *Service) updateOrg(ctx context.Context, scope tenantdb.Scope, id uuid.UUID, ifMatch string, name, slug *string) (*Org, error) {
	return latest(ifMatch, func() (*Org, error) { return s.tryUpdateOrg(ctx, scope, id, ifMatch, name, slug) })
}

func (s *Service) tryUpdateOrg(ctx context.Context, scope tenantdb.Scope, id uuid.UUID, ifMatch string, name, slug *string) (*Org, error) {
	o, d, err := s.decidedOrg(ctx, "update", scope, id)
	if err != nil {
		return nil, err
	}
	if err := matches(ifMatch, o.Version); err != nil {
		return nil, err
	}
	before := o
	set(&o.Name, name)
	set(&o.Slug, slug)
	changes := map[string]any{}
	if o.Name != before.Name {
		changes["name"] = fromTo(before.Name, o.Name)
	}
	if o.Slug != before.Slug {
		changes["slug"] = fromTo(before.Slug, o.Slug)
	}
	e, err := orgEvent(ctx, id, "update", d, changes)
	if err != nil {
		return nil, err
	}
	if o, err = s.store.update(ctx, scope, o, e); err != nil {
		return nil, orgNotWritten(err)
	}
	return o.answer(http.StatusOK), nil
}

// setStatus takes an organisation from one status to another; one that is there already stays as it is.
func (s *Service) setStatus(ctx context.Context, id uuid.UUID, action, from, to, reason string) (*Org, error) {
	return latest("", func() (*Org, error) { return s.trySetStatus(ctx, id, action, from, to, reason) })
}

func (s *Service) trySetStatus(ctx context.Context, id uuid.UUID, action, from, to, reason string) (*Org, error) {
	o, d, err := s.decidedOrg(ctx, action, platform, id)
	if err != nil {
		return nil, err
	}
	if o.Status == to {
		return o.answer(http.StatusOK), nil
	}
	e, err := orgEvent(ctx, id, action, d, map[string]any{"status": fromTo(from, to), "reason": reason})
	if err != nil {
		return nil, err
	}
	if o, err = s.store.setStatus(ctx, id, from, to, e); err != nil {
		return nil, orgNotWritten(err)
	}
	return o.answer(http.StatusOK), nil
}

func orgEvent(ctx context.Context, id uuid.UUID, action string, d authz.Decision, changes map[string]any) (event.Event, error) {
	return event.New(ctx, id, action, event.Resource{Kind: "org", ID: id.String()}, event.Succeeded, d).With(changes)
}

// fromTo is how the audit log tells of one changed value.
func fromTo(before, after any) map[string]any { return map[string]any{"from": before, "to": after} }

func orgNotWritten(err error) error {
	if errors.Is(err, errSlugTaken) {
		return fault.New(errs.AlreadyExists, fault.AlreadyExists, "an organisation with this slug exists")
	}
	return err
}
