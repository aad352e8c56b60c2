package orgs

import (
	"context"
	"time"

	"encore.app/infra/platform/fault"
	"encore.dev/types/uuid"
)

// Offboarding is how far an organisation is on its way out: suspended, exported, then held or erased.
type Offboarding struct {
	OrgID           uuid.UUID  `json:"org_id"`
	Status          string     `json:"status" schema:"enum=active|suspended"` // active, suspended
	SuspendedAt     *time.Time `json:"suspended_at"`                          // null: not suspended
	ExportedAt      *time.Time `json:"exported_at"`                           // the last export since the suspension
	LegalHold       bool       `json:"legal_hold"`
	LegalHoldReason string     `json:"legal_hold_reason"`
	HeldAt          *time.Time `json:"held_at"`
	ErasedAt        *time.Time `json:"erased_at"` // from then on it is a tombstone
}

func (o offboarding) payload() *Offboarding {
	return &Offboarding{
		OrgID: o.ID, Status: o.Status, SuspendedAt: utc(o.SuspendedAt), ExportedAt: utc(o.ExportedAt),
		LegalHold: o.HeldAt != nil, LegalHoldReason: o.HoldReason, HeldAt: utc(o.HeldAt), ErasedAt: utc(o.ErasedAt),
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	out := t.UTC()
	return &out
}

// ReadOffboarding says how far an organisation is on its way out.
//
// Platform staff may. Refuses with not_found.
//
//encore:api auth method=GET path=/api/v1/admin/orgs/:org_id/offboarding
func (s *Service) ReadOffboarding(ctx context.Context, org_id uuid.UUID) (*Offboarding, error) {
	if _, _, err := s.decidedOrg(ctx, "read", platform, org_id); err != nil {
		return nil, err
	}
	o, err := s.store.offboarding(ctx, org_id)
	if err != nil {
		return nil, err
	}
	return o.payload(), nil
}

// LegalHoldRequest puts an organisation under legal hold, or ends the hold.
type LegalHoldRequest struct {
	On     *bool  `json:"on" schema:"required"`
	Reason string `json:"reason" schema:"text=200"` // kept in the audit log; names no person
}

// Validate checks the request.
func (r *LegalHoldRequest) Validate() error {
	var c fault.Checks
	if r.On == nil {
		c.Add("on", "is required")
	}
	c.Text("reason", r.Reason, maxName)
	return c.Err()
}

// HoldOrg puts an organisation under legal hold, or ends the hold. While it lasts, nobody erases the
// organisation.
//
// Platform administrators with a second factor may. Refuses with validation_failed, mfa_required,
// not_found and policy_denied.
//
//encore:api auth method=POST path=/api/v1/admin/orgs/:org_id/legal-hold
func (s *Service) HoldOrg(ctx context.Context, org_id uuid.UUID, r *LegalHoldRequest) (*Offboarding, error) {
	_, d, err := s.decidedOrg(ctx, "org:suspend", platform, org_id)
	if err != nil {
		return nil, err
	}
	e, err := orgEvent(ctx, org_id, "org:legal_hold", d, map[string]any{"on": *r.On, "reason": r.Reason})
	if err != nil {
		return nil, err
	}
	o, err := s.store.hold(ctx, org_id, *r.On, r.Reason, e)
	if err != nil {
		return nil, err
	}
	return o.payload(), nil
}

// EraseOrgRequest says whether an export is needed first.
type EraseOrgRequest struct {
	WithoutExport bool `query:"without_export"`
}

// EraseOrg deletes everything that an organisation owns, for good. What stays is a tombstone without
// its name, and the hashes of its audit log, so that its proofs stay valid. To erase it again changes
// nothing.
//
// Platform administrators with a second factor may. Refuses with mfa_required, not_found,
// policy_denied (it is not suspended), legal_hold, export_required (none since the suspension, and
// without_export was not asked for) and erase_too_early (the platform's setting
// offboarding.erase_after).
//
//encore:api auth method=POST path=/api/v1/admin/orgs/:org_id/erase
func (s *Service) EraseOrg(ctx context.Context, org_id uuid.UUID, r *EraseOrgRequest) (*Offboarding, error) {
	_, d, err := s.decidedOrg(ctx, "delete", platform, org_id)
	if err != nil {
		return nil, err
	}
	o, err := s.erase(ctx, org_id, d, r.WithoutExport)
	if err != nil {
		return nil, err
	}
	return o.payload(), nil
}
