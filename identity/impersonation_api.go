package identity

import (
	"context"
	"net/http"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/identity/secret"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	maxMinutes = 60
	maxReason  = 1000
	maxTicket  = 200
)

// Impersonation is platform staff acting as a member of one organisation. It reads only, unless it
// asked to write and, in staging and production, a second administrator approved. Token is told once,
// when it begins.
type Impersonation struct {
	ID             uuid.UUID  `json:"id"`
	OrgID          uuid.UUID  `json:"org_id"`
	UserID         uuid.UUID  `json:"user_id"`
	ImpersonatorID uuid.UUID  `json:"impersonator_id"`
	Reason         string     `json:"reason"`
	Ticket         string     `json:"ticket"`
	Write          bool       `json:"write"` // asked for; where an approval is wanted it takes effect with that
	ApprovedBy     *uuid.UUID `json:"approved_by"`
	ApprovedAt     *time.Time `json:"approved_at"`
	CreatedAt      time.Time  `json:"created_at"`
	ExpiresAt      time.Time  `json:"expires_at"`
	EndedAt        *time.Time `json:"ended_at"`
	EndedBy        *uuid.UUID `json:"ended_by"`
	Token          string     `json:"token,omitempty"`
	HTTPStatus     int        `json:"-" encore:"httpstatus"`
}

func (i impersonation) payload() *Impersonation {
	return &Impersonation{
		ID: i.ID, OrgID: i.OrgID, UserID: i.UserID, ImpersonatorID: i.ImpersonatorID, Reason: i.Reason, Ticket: i.Ticket,
		Write: i.Write, ApprovedBy: i.ApprovedBy, ApprovedAt: utc(i.ApprovedAt), CreatedAt: i.CreatedAt.UTC(),
		ExpiresAt: i.ExpiresAt.UTC(), EndedAt: utc(i.EndedAt), EndedBy: i.EndedBy,
	}
}

func (i impersonation) resource() authz.Resource {
	return authz.Resource{Kind: "impersonation", ID: i.ID.String(), OrgID: i.OrgID.String(), OwnerID: i.ImpersonatorID.String()}
}

func (i impersonation) event(ctx context.Context, action string, d authz.Decision) (event.Event, error) {
	return event.New(ctx, i.OrgID, action, event.Resource{Kind: "impersonation", ID: i.ID.String()}, event.Succeeded, d).
		With(map[string]any{"user_id": i.UserID, "impersonator_id": i.ImpersonatorID, "write": i.Write})
}

// ImpersonateRequest says as whom, where, why and for how long.
type ImpersonateRequest struct {
	UserID  uuid.UUID `json:"user_id"`
	OrgID   uuid.UUID `json:"org_id"`
	Reason  string    `json:"reason" schema:"text=1000"`
	Ticket  string    `json:"ticket,omitempty" schema:"plain=200"`
	Minutes int       `json:"minutes" schema:"minimum=1;maximum=60"` // 1 to 60
	Write   bool      `json:"write,omitempty"`
}

// Validate checks the request.
func (r *ImpersonateRequest) Validate() error {
	var c fault.Checks
	if r.UserID == uuid.Nil {
		c.Add("user_id", "is required")
	}
	if r.OrgID == uuid.Nil {
		c.Add("org_id", "is required")
	}
	c.Text("reason", r.Reason, maxReason)
	c.Filter("ticket", r.Ticket, maxTicket)
	if r.Minutes < 1 || r.Minutes > maxMinutes {
		c.Add("minutes", "must be from 1 to %d", maxMinutes)
	}
	return c.Err()
}

// Belongs says whether a user is a member of an organisation.
type Belongs func(ctx context.Context, user, org uuid.UUID) (bool, error)

// BeginImpersonation begins acting as a user in one organisation and tells the token, once. Who belongs
// to an organisation is for belongs to say, now and again on every use. Refuses with mfa_required,
// policy_denied, not_oneself (403) and not_found.
func BeginImpersonation(ctx context.Context, r *ImpersonateRequest, belongs Belongs) (*Impersonation, error) {
	by, err := actingUser(ctx)
	if err != nil {
		return nil, err
	}
	i := impersonation{
		OrgID: r.OrgID, ID: rowid.New(), UserID: r.UserID, ImpersonatorID: by, Reason: r.Reason, Ticket: r.Ticket,
		Write: r.Write, ExpiresAt: time.Now().Add(time.Duration(r.Minutes) * time.Minute),
	}
	d, err := authz.Check(ctx, "create", i.resource())
	if err != nil {
		return nil, err
	}
	if by == r.UserID {
		return nil, fault.New(errs.PermissionDenied, fault.NotOneself, "you cannot impersonate yourself")
	}
	kept := impersonations{db: open()}
	if err := kept.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { return mayBeActedAs(ctx, tx, r.UserID) }); err != nil {
		return nil, err
	}
	switch ok, err := belongs(ctx, r.UserID, r.OrgID); {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fault.NotFound("member")
	}
	e, err := i.event(ctx, "create", d)
	if err != nil {
		return nil, err
	}
	raw := secret.New(secret.Impersonation, r.OrgID)
	if i, err = kept.begin(ctx, i, secret.Hash(raw), e); err != nil {
		return nil, err
	}
	out := i.payload()
	out.Token, out.HTTPStatus = raw, http.StatusCreated
	return out, nil
}

// actingUser is the user behind the request's principal.
func actingUser(ctx context.Context) (uuid.UUID, error) {
	p, err := authz.Principal(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.FromString(p.Caller.UserID)
	if err != nil {
		return uuid.Nil, fault.Internal(err)
	}
	return id, nil
}

// ApproveImpersonation lets an impersonation write that asked for it, which staging and production want.
//
// Platform administrators with a second factor may, but not the one who began it. Refuses with
// mfa_required, policy_denied, not_oneself (403) and not_found (also when it is over, or approved).
//
//encore:api auth method=POST path=/api/v1/admin/impersonations/:id/approve
func (s *Service) ApproveImpersonation(ctx context.Context, id uuid.UUID) (*Impersonation, error) {
	by, err := actingUser(ctx)
	if err != nil {
		return nil, err
	}
	i, d, err := s.decideOn(ctx, tenantdb.Platform(), uuid.Nil, id, "create")
	if err != nil {
		return nil, err
	}
	if by == i.ImpersonatorID {
		return nil, fault.New(errs.PermissionDenied, fault.NotOneself, "a second administrator has to approve")
	}
	e, err := i.event(ctx, "approve", d)
	if err != nil {
		return nil, err
	}
	if i, err = s.impersonations.approve(ctx, i.OrgID, id, by, e); err != nil {
		return nil, err
	}
	s.forget(id.String())
	return i.payload(), nil
}

// GetImpersonation is one impersonation.
//
// Platform administrators and auditors may. Refuses with policy_denied and not_found.
//
//encore:api auth method=GET path=/api/v1/admin/impersonations/:id
func (s *Service) GetImpersonation(ctx context.Context, id uuid.UUID) (*Impersonation, error) {
	i, _, err := s.decideOn(ctx, tenantdb.Platform(), uuid.Nil, id, "read")
	if err != nil {
		return nil, err
	}
	return i.payload(), nil
}

// EndImpersonation ends an impersonation before its time, on every replica within five seconds.
//
// Platform administrators may. Refuses with policy_denied and not_found (also when it is over).
//
//encore:api auth method=DELETE path=/api/v1/admin/impersonations/:id
func (s *Service) EndImpersonation(ctx context.Context, id uuid.UUID) error {
	return s.endImpersonation(ctx, tenantdb.Platform(), uuid.Nil, id)
}

func (s *Service) endImpersonation(ctx context.Context, scope tenantdb.Scope, org, id uuid.UUID) error {
	by, err := actingUser(ctx)
	if err != nil {
		return err
	}
	i, d, err := s.decideOn(ctx, scope, org, id, "delete")
	if err != nil {
		return err
	}
	e, err := i.event(ctx, "delete", d)
	if err != nil {
		return err
	}
	if err := s.impersonations.end(ctx, scope, i.OrgID, id, by, e); err != nil {
		return err
	}
	s.forget(id.String())
	return nil
}

// decideOn reads an impersonation that scope sees and decides on action. Whether it exists is told
// only to those who may list them.
func (s *Service) decideOn(ctx context.Context, scope tenantdb.Scope, org, id uuid.UUID, action string) (impersonation, authz.Decision, error) {
	i, ok, err := s.impersonations.one(ctx, scope, id)
	if err != nil {
		return i, authz.Decision{}, err
	}
	if !ok {
		if d, err := authz.Check(ctx, "list", impersonationsOf(org)); err != nil {
			return i, d, err
		}
		return i, authz.Decision{}, fault.NotFound("impersonation")
	}
	d, err := authz.Check(ctx, action, i.resource())
	return i, d, err
}

// impersonationsOf are those in one organisation, or with uuid.Nil in all.
func impersonationsOf(org uuid.UUID) authz.Resource {
	r := authz.Resource{Kind: "impersonation"}
	if org != uuid.Nil {
		r.OrgID = org.String()
	}
	return r
}

// ListImpersonationsRequest asks for a page of impersonations.
type ListImpersonationsRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListImpersonationsRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// ListImpersonationsResponse is one page, newest first.
type ListImpersonationsResponse struct {
	Items      []Impersonation `json:"items"`
	NextCursor string          `json:"next_cursor"`
}

// ListImpersonations lists impersonations in every organisation, those that are over included.
//
// Platform administrators and auditors may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/impersonations
func (s *Service) ListImpersonations(ctx context.Context, r *ListImpersonationsRequest) (*ListImpersonationsResponse, error) {
	return s.listImpersonations(ctx, tenantdb.Platform(), uuid.Nil, r)
}

func (s *Service) listImpersonations(ctx context.Context, scope tenantdb.Scope, org uuid.UUID, r *ListImpersonationsRequest) (*ListImpersonationsResponse, error) {
	if _, err := authz.Check(ctx, "list", impersonationsOf(org)); err != nil {
		return nil, err
	}
	before, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.impersonations.list(ctx, scope, org, before, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(i impersonation) any { return i.ID })
	out := &ListImpersonationsResponse{Items: make([]Impersonation, len(rows)), NextCursor: next}
	for n, i := range rows {
		out.Items[n] = *i.payload()
	}
	return out, nil
}
