package licensing

import (
	"context"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Override is the platform's own word on a feature or limit. It counts for every organisation whose
// tier and licence say nothing of it.
type Override struct {
	Name      string    `json:"name"`
	Value     string    `json:"value"` // true or false for a feature, a number for a limit
	UpdatedAt time.Time `json:"updated_at"`
}

// ListOverridesResponse is all of them, by name.
type ListOverridesResponse struct {
	Items      []Override `json:"items"`
	NextCursor string     `json:"next_cursor"` // always "": there are few
}

// ListOverrides lists the platform's own word on features and limits.
//
// Platform staff may.
//
//encore:api auth method=GET path=/api/v1/admin/entitlements
func (s *Service) ListOverrides(ctx context.Context) (*ListOverridesResponse, error) {
	if _, err := authz.Check(ctx, "list", operations); err != nil {
		return nil, err
	}
	rows, err := s.store.overrides(ctx)
	if err != nil {
		return nil, err
	}
	out := &ListOverridesResponse{Items: make([]Override, len(rows))}
	for i, o := range rows {
		out.Items[i] = Override{Name: o.Name, Value: o.Value, UpdatedAt: o.UpdatedAt.UTC()}
	}
	return out, nil
}

// PutOverrideRequest is the value.
type PutOverrideRequest struct {
	Value string `json:"value" schema:"text=32"` // true or false for a feature, a number for a limit (-1 is none)
}

// Validate checks the request.
func (r *PutOverrideRequest) Validate() error {
	var c fault.Checks
	c.Text("value", r.Value, 32)
	return c.Err()
}

// PutOverride sets the platform's own word on a feature or limit of the catalogue.
//
// Platform administrators may. Refuses with not_found (the catalogue has none of that name),
// validation_failed and policy_denied.
//
//encore:api auth method=PUT path=/api/v1/admin/entitlements/:name
func (s *Service) PutOverride(ctx context.Context, name string, r *PutOverrideRequest) (*Override, error) {
	d, err := authz.Check(ctx, "update", operations)
	if err != nil {
		return nil, err
	}
	_, feature := s.store.catalogue.Features[name]
	if !feature && !s.store.catalogue.Has(name) {
		return nil, fault.NotFound("feature or limit")
	}
	layer := catalogue.Layer{Features: map[string]bool{}, Limits: map[string]int64{}}
	if s.store.catalogue.Set(&layer, name, r.Value) != nil {
		var c fault.Checks
		c.Add("value", "must be true or false for a feature, a number from -1 to %d for a limit", catalogue.MaxLimit)
		return nil, c.Err()
	}
	var at time.Time
	err = s.store.override(ctx, name, d, map[string]any{"value": r.Value}, "update", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `insert into licensing.overrides (name, value) values ($1, $2)
			on conflict (name) do update set value = $2, updated_at = now() returning updated_at`, name, r.Value).Scan(&at)
	})
	if err != nil {
		return nil, err
	}
	return &Override{Name: name, Value: r.Value, UpdatedAt: at.UTC()}, nil
}

// DeleteOverride takes the platform's own word on a feature or limit back.
//
// Platform administrators may. Refuses with policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/admin/entitlements/:name
func (s *Service) DeleteOverride(ctx context.Context, name string) error {
	d, err := authz.Check(ctx, "update", operations)
	if err != nil {
		return err
	}
	return s.store.override(ctx, name, d, nil, "delete", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "delete from licensing.overrides where name = $1", name)
		return err
	})
}

// override changes one, with its event in the platform's own log.
func (s store) override(ctx context.Context, name string, d authz.Decision, what map[string]any, action string, change func(pgx.Tx) error) error {
	e, err := event.New(ctx, uuid.Nil, action, event.Resource{Kind: "entitlement", ID: name}, event.Succeeded, d).With(what)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("licensing: override: %w", err)
	}
	return nil
}
