package licensing

import (
	"context"
	"fmt"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/cron"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

var _ = cron.NewJob("billing-reconciliation", cron.JobConfig{
	Title:    "Compare every licence with Stripe",
	Schedule: "30 2 * * *",
	Endpoint: Reconcile,
})

// Reconcile has every customer's state at Stripe looked at, those included that Stripe knows and we do
// not. Whatever it corrects is drift: counted, and told to the organisation's audit log. It also
// forgets the ids of deliveries that are too old to come again.
//
//encore:api private
func Reconcile(ctx context.Context) error {
	s, err := open()
	if err != nil {
		return err
	}
	if err := s.forgetDeliveries(ctx); err != nil || secrets.STRIPE_API_KEY == "" {
		return err
	}
	return s.reconcile(ctx, stripesync.NewClient(stripesync.Config{
		Key: secrets.STRIPE_API_KEY, BaseURL: secrets.STRIPE_API_BASE, Catalogue: s.catalogue,
	}))
}

func (s store) reconcile(ctx context.Context, client *stripesync.Client) error {
	ctx = background(ctx)
	var theirs []string
	if err := client.Customers(ctx, func(customer string) error {
		theirs = append(theirs, customer)
		return nil
	}); err != nil {
		return err
	}
	err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		marked, err := stripesync.MarkAll(ctx, tx, theirs)
		if err != nil {
			return err
		}
		e, err := event.New(ctx, uuid.Nil, "billing:reconcile", event.Resource{Kind: "platform", ID: "billing"}, event.Succeeded, authz.Decision{}).
			With(map[string]any{"customers": marked})
		if err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("licensing: reconcile: %w", err)
	}
	return nil
}

// Stripe gives up on a delivery after three days.
const deliveriesKept = "30 days"

func (s store) forgetDeliveries(ctx context.Context) error {
	err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "delete from licensing.stripe_events where received_at < now() - $1::interval", deliveriesKept)
		return err
	})
	if err != nil {
		return fmt.Errorf("licensing: forget deliveries: %w", err)
	}
	return nil
}
