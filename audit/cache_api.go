package audit

import (
	"context"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/epoch"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// InvalidateRequest says whose decisions are to be made anew: one of the three.
type InvalidateRequest struct {
	OrgID  *uuid.UUID `json:"org_id,omitempty"`
	UserID *uuid.UUID `json:"user_id,omitempty"`
	All    bool       `json:"all,omitempty"`
}

// Validate checks the request.
func (r *InvalidateRequest) Validate() error {
	var c fault.Checks
	if given := count(r.OrgID != nil, r.UserID != nil, r.All); given != 1 {
		c.Add("org_id", "give one of org_id, user_id and all, not %d", given)
	}
	if (r.OrgID != nil && *r.OrgID == uuid.Nil) || (r.UserID != nil && *r.UserID == uuid.Nil) {
		c.Add("org_id", "is no organisation or user; all is said by all")
	}
	return c.Err()
}

func count(given ...bool) int {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

// subject is what the request names.
func (r *InvalidateRequest) subject() (kind string, id uuid.UUID) {
	switch {
	case r.OrgID != nil:
		return "org", *r.OrgID
	case r.UserID != nil:
		return "user", *r.UserID
	}
	return "all", epoch.Everything
}

// InvalidateDecisions makes every remembered decision on an organisation, on a user, or at all
// unreachable, on every replica and within a second. It is never needed for a change made through
// this API; it is for what was changed behind its back. It stands in this service, though it is about
// decisions, because it is recorded.
//
// Platform administrators may. Refuses with wrong_audience, policy_denied and validation_failed.
//
//encore:api auth method=POST path=/api/v1/admin/authz/cache/invalidate
func (s *Service) InvalidateDecisions(ctx context.Context, r *InvalidateRequest) error {
	kind, id := r.subject()
	d, err := authz.Check(ctx, "policy:invalidate", authz.Resource{Kind: "policy"})
	if err != nil {
		return err
	}
	e, err := event.New(ctx, uuid.Nil, "policy:invalidate", event.Resource{Kind: "policy", ID: id.String()}, event.Succeeded, d).
		With(map[string]any{"subject": kind})
	if err != nil {
		return err
	}
	return s.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if err := e.Record(ctx, tx); err != nil {
			return err
		}
		return epoch.Bump(ctx, tx, id)
	})
}
