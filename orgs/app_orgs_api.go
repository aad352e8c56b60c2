package orgs

import (
	"context"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/uuid"
)

// ListOwnOrgs lists the organisations that the caller belongs to, suspended ones too. A token that is
// confined to some of them lists only those, so a page may hold fewer than its limit before the last.
//
//encore:api auth method=GET path=/api/v1/app/orgs
func (s *Service) ListOwnOrgs(ctx context.Context, r *PageRequest) (*ListOrgsResponse, error) {
	if _, err := authz.Check(ctx, "list", authz.Resource{Kind: "org"}); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	p, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	user, err := uuid.FromString(p.Caller.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	rows, err := s.store.ownOrgs(ctx, user, after, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(o org) any { return o.ID })
	out := &ListOrgsResponse{Items: []Org{}, NextCursor: next}
	for _, o := range rows {
		if !p.Caller.Narrowed(o.ID.String(), o.Slug) {
			out.Items = append(out.Items, *o.payload())
		}
	}
	return out, nil
}
