package licensing

import (
	"context"
	"fmt"

	"encore.app/infra/platform/archive"
	"encore.app/orgs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// What an organisation has bought and used goes into its export, and goes with it when it is erased.
func init() { orgs.Hold(orgs.Holding{Archive: archiveOrg, Lock: lockOrg, Erase: eraseOrg}) }

var archivedHere = map[string]string{
	"license":          "select row_to_json(t)::text from licensing.licenses t where org_id = $1",
	"billing_customer": "select row_to_json(t)::text from licensing.customers t where org_id = $1",
	"billing_drift":    "select row_to_json(t)::text from licensing.drifts t where org_id = $1 order by reconciliation_id",
	"usage":            "select row_to_json(t)::text from licensing.usage t where org_id = $1 order by name, bucket",
}

func archiveOrg(ctx context.Context, tx pgx.Tx, org uuid.UUID, out *archive.Writer) error {
	return out.Types(ctx, tx, archivedHere, org)
}

// lockOrg takes the locks that others hold when they come to the organisation's row, in their order: what
// is admitted counts its use, and what Stripe says goes from the customer to the licence.
func lockOrg(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	for _, table := range []string{"usage", "customers", "licenses"} {
		if _, err := tx.Exec(ctx, "select from licensing."+table+" where org_id = $1 for update", org); err != nil {
			return fmt.Errorf("licensing: lock organisation: %w", err)
		}
	}
	return nil
}

func eraseOrg(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	for _, sql := range []string{
		"delete from licensing.usage where org_id = $1", // and with it what is reserved
		"delete from licensing.drifts where org_id = $1",
		"delete from licensing.customers where org_id = $1",
		"delete from licensing.licenses where org_id = $1",
	} {
		if _, err := tx.Exec(ctx, sql, org); err != nil {
			return fmt.Errorf("licensing: erase organisation: %w", err)
		}
	}
	return nil
}
