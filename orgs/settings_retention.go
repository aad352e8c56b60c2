package orgs

import (
	"context"

	"encore.app/audit"
	"encore.app/orgs/setting"
	"encore.dev/types/uuid"
)

func init() { audit.UseRetention(auditRetention) }

// auditRetention is the setting by which the audit log, which stands below, removes payloads.
func auditRetention(ctx context.Context, org uuid.UUID) (days int, err error) {
	if org == uuid.Nil {
		return audit.DefaultRetention, nil
	}
	row, err := open().setting(ctx, org, setting.AuditRetentionDays)
	if err != nil {
		return 0, err
	}
	return row.Resolved.Int(), nil
}
