package licensing

import (
	"context"
	"fmt"
	"time"

	"encore.app/infra/platform/job"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/cron"
	"github.com/jackc/pgx/v5"
)

var _ = cron.NewJob("billing-reconciliation", cron.JobConfig{
	Title:    "Compare every licence with Stripe",
	Schedule: "30 2 * * *",
	Endpoint: Reconcile,
})

var _ = job.Expect("licensing.Reconcile", 24*time.Hour)

// Reconcile has every customer's state at Stripe looked at, those included that Stripe knows and we do
// not. Whatever it corrects is drift: counted, reported, and told to the organisation's audit log. It
// also forgets the ids of deliveries that are too old to come again, and old reports.
//
//encore:api private
func Reconcile(ctx context.Context) error {
	s, err := open()
	if err != nil {
		return err
	}
	if err := s.forget(ctx); err != nil || secrets.STRIPE_API_KEY == "" {
		return err
	}
	return s.reconcile(ctx, stripesync.NewClient(stripesync.Config{
		Key: secrets.STRIPE_API_KEY, BaseURL: secrets.STRIPE_API_BASE, Catalogue: s.catalogue,
	}))
}

const (
	deliveriesKept = "30 days" // Stripe gives up on one after three
	reportsKept    = "1 year"
)

func (s store) forget(ctx context.Context) error {
	err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "delete from licensing.stripe_events where received_at < now() - $1::interval", deliveriesKept); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "delete from licensing.reconciliations where started_at < now() - $1::interval", reportsKept)
		return err
	})
	if err != nil {
		return fmt.Errorf("licensing: forget: %w", err)
	}
	return nil
}
