// Package event is what every service says to the audit log: who did what to which resource, and
// what came of it.
//
// An event is recorded in the transaction of the change that it tells of, so neither exists without
// the other. It reaches the log through the outbox, at least once, and is recognised there by its id.
package event

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"encore.app/audit/ledger"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/request"
	"encore.app/infra/platform/rowid"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Topic is the topic that events travel on.
const Topic = "audit-events"

// Outcome is what came of the action.
type Outcome string

// The outcomes. Succeeded and Failed tell of changes, Allowed and Denied of decisions.
const (
	Allowed   Outcome = "allowed"
	Denied    Outcome = "denied"
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
)

// Event is one entry of the audit log. OrgID is [uuid.Nil] in the platform's own log.
//
// Seq, LeafHash, Erased and Commitments are the log's to say and zero until it has: the number of
// the entry, from 1 without a gap; the hash of its leaf, in base64; which fields were personal data
// of somebody who has been erased; and what stands in the leaf for each personal field. Person,
// Personal and Traceparent are for the log alone; nobody reads them there.
type Event struct {
	ID            uuid.UUID       `json:"id"`
	OrgID         uuid.UUID       `json:"org_id"`
	OccurredAt    time.Time       `json:"occurred_at"`
	Actor         Actor           `json:"actor"`
	Action        string          `json:"action"`
	Resource      Resource        `json:"resource"`
	Outcome       Outcome         `json:"outcome"`
	RequestID     string          `json:"request_id"`
	DecisionID    string          `json:"decision_id"`
	PolicyVersion string          `json:"policy_version"`
	IP            string          `json:"ip"`
	Changes       json.RawMessage `json:"changes" schema:"type=object"`

	Seq         int64                        `json:"seq"`
	LeafHash    string                       `json:"leaf_hash"`
	Erased      []string                     `json:"erased,omitempty"`
	Commitments map[string]ledger.Commitment `json:"commitments,omitempty"`

	Person   *uuid.UUID `json:"person,omitempty"` // whose address IP is
	Personal []Personal `json:"personal,omitempty"`

	Traceparent string `json:"traceparent,omitempty"` // of the step that published it
}

// Actor is who acted. ImpersonatorID is who acted in their name, or "".
type Actor struct {
	ID             string `json:"id"`
	Type           string `json:"type"`
	ImpersonatorID string `json:"impersonator_id,omitempty"`
}

// Resource is what was acted on.
type Resource struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// New is an event of the request that ctx serves, by its principal; d is the decision that let the
// action pass or stopped it.
func New(ctx context.Context, org uuid.UUID, action string, resource Resource, outcome Outcome, d authz.Decision) Event {
	e := Event{
		ID:            rowid.New(),
		OrgID:         org,
		OccurredAt:    time.Now().UTC().Truncate(time.Microsecond), // all that the database keeps of it
		Action:        action,
		Resource:      resource,
		Outcome:       outcome,
		DecisionID:    d.ID,
		PolicyVersion: d.PolicyVersion,
		Changes:       json.RawMessage("{}"),
	}
	info := request.From(ctx)
	e.RequestID, e.IP = info.ID, info.IP
	if p := principal.FromContext(ctx); p != nil {
		e.Actor = Actor{ID: p.ID(), Type: p.ActorType(), ImpersonatorID: p.Caller.ImpersonatorID}
		e.Person = person(p.Caller)
	}
	return e
}

// person is who sits at the other end, whoever they act as; nil if nobody does.
func person(c *principal.Caller) *uuid.UUID {
	id, err := uuid.FromString(cmp.Or(c.ImpersonatorID, c.UserID))
	if err != nil || id == uuid.Nil {
		return nil
	}
	return &id
}

// With is e telling what was changed, by name. Personal data does not belong in it: see
// [Event.WithPersonal].
func (e Event) With(changes map[string]any) (Event, error) {
	if changes == nil { // nothing by name, which is an empty object and no null
		return e, nil
	}
	text, err := json.Marshal(changes)
	if err != nil {
		return e, fmt.Errorf("event: changes of %s: %w", e.Action, err)
	}
	if _, err := ledger.Canonical(nil, text); err != nil { // the log could not take it
		return e, fmt.Errorf("event: changes of %s: %w", e.Action, err)
	}
	e.Changes = text
	return e, nil
}

// Record puts e into the log when tx commits, and keeps what its decision can be explained by.
func (e Event) Record(ctx context.Context, tx pgx.Tx) error {
	if err := authz.Keep(ctx, tx, e.OrgID, e.DecisionID); err != nil {
		return err
	}
	return outbox.Add(ctx, tx, Topic, e.ID, e)
}
