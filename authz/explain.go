package authz

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const insertDecision = `
insert into authz.decisions (org_id, decision_id, resource_kind, resource_id, action, allowed, principal, resource,
       reasons, policy, rules, derived_roles, digest, cached)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict do nothing`

// Keep stores what the decision of that id, made for the request of ctx, stands for: whoever writes
// an event that names a decision keeps it in the same transaction, so that the event can be
// explained for as long as it is there. A decision that was made for no request is not kept.
func Keep(ctx context.Context, tx pgx.Tx, org uuid.UUID, decisionID string) error {
	t, ok := ctx.Value(trailKey{}).(*Trail)
	if !ok || decisionID == "" {
		return nil
	}
	for _, d := range t.decided(decisionID) {
		who, err := describePrincipal(d.Asked.Principal)
		if err != nil {
			return err
		}
		what, err := json.Marshal(d.Asked.Resource.Attr)
		if err != nil {
			return fmt.Errorf("authz: keep decision: %w", err)
		}
		_, err = tx.Exec(ctx, insertDecision, org, d.ID, d.Asked.Resource.Kind, d.Asked.Resource.ID, d.Asked.Action, d.Allowed,
			who, what, orEmpty(d.Reasons), d.Policy, orEmpty(d.Rules), orEmpty(d.DerivedRoles), d.PolicyVersion, d.Cached)
		if err != nil {
			return fmt.Errorf("authz: keep decision: %w", err)
		}
	}
	return nil
}

// Forget removes what Keep stored of an organisation's decisions, in tx: no event names them any more.
func Forget(ctx context.Context, tx pgx.Tx, org uuid.UUID, decisionIDs []string) error {
	_, err := tx.Exec(ctx, "delete from authz.decisions where org_id = $1 and decision_id = any($2)", org, decisionIDs)
	if err != nil {
		return fmt.Errorf("authz: forget decisions: %w", err)
	}
	return nil
}

// decided are the decisions of one id whose questions are known.
func (t *Trail) decided(id string) []Decision {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Decision
	for _, m := range t.made {
		if m.ID == id && m.Asked != nil {
			out = append(out, m.Decision)
		}
	}
	return out
}

// Asker is a principal as the policies saw it: no name, no address.
type Asker struct {
	ID    string          `json:"id"`
	Roles []string        `json:"roles"`
	Attr  json.RawMessage `json:"attr"`
}

func describePrincipal(p *principal.Principal) ([]byte, error) {
	form, err := p.Cerbos()
	if err != nil {
		return nil, fmt.Errorf("authz: keep decision: %w", err)
	}
	attr := map[string]any{}
	for name, value := range form.Proto().GetAttr() {
		attr[name] = value.AsInterface()
	}
	text, err := json.Marshal(attr)
	if err != nil {
		return nil, fmt.Errorf("authz: keep decision: %w", err)
	}
	return json.Marshal(Asker{ID: p.ID(), Roles: p.Roles(), Attr: text})
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Explanation is one answer of a decision, and the question.
type Explanation struct {
	OrgID        uuid.UUID         `json:"org_id"`
	DecidedAt    time.Time         `json:"decided_at"` // when it was recorded
	Principal    Asker             `json:"principal"`
	Resource     ExplainedResource `json:"resource"`
	Action       string            `json:"action"`
	Effect       string            `json:"effect"` // allow or deny
	Reasons      []string          `json:"reasons"`
	Policy       string            `json:"policy"`
	Rules        []string          `json:"rules"` // the guardrails that spoke
	DerivedRoles []string          `json:"derived_roles"`
	Digest       string            `json:"digest"` // of the policies
	Cached       string            `json:"cached"` // memory, redis or "" when the PDP was asked
}

// ExplainedResource is the resource as the policies saw it.
type ExplainedResource struct {
	Kind string          `json:"kind"`
	ID   string          `json:"id"`
	Attr json.RawMessage `json:"attr"`
}

const selectDecision = `
select org_id, decided_at, principal, resource_kind, resource_id, resource, action, allowed,
       reasons, policy, rules, derived_roles, digest, cached
  from authz.decisions
 where decision_id = $1
 order by decided_at, resource_kind, resource_id, action
 limit 200`

// explain is what is kept under a decision's id.
func explain(ctx context.Context, db *tenantdb.DB, id string) ([]Explanation, error) {
	found, err := tenantdb.Rows(ctx, db, tenantdb.Platform(), scanExplanation, selectDecision, id)
	if err != nil {
		return nil, fmt.Errorf("authz: explain: %w", err)
	}
	return found, nil
}

func scanExplanation(row pgx.CollectableRow) (Explanation, error) {
	var e Explanation
	var allowed bool
	err := row.Scan(&e.OrgID, &e.DecidedAt, &e.Principal, &e.Resource.Kind, &e.Resource.ID, &e.Resource.Attr, &e.Action, &allowed,
		&e.Reasons, &e.Policy, &e.Rules, &e.DerivedRoles, &e.Digest, &e.Cached)
	e.DecidedAt = e.DecidedAt.UTC()
	e.Effect = effect(allowed)
	return e, err
}

func effect(allowed bool) string {
	if allowed {
		return pdp.Allow
	}
	return pdp.Deny
}
