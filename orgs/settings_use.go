package orgs

import (
	"context"
	"slices"
	"strings"
	"time"

	"encore.app/audit"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/orgs/setting"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Where settings take effect in the rest of this service and below it.

// The audit log knows no settings: it asks.
func init() { audit.UseRetention(retentionDays) }

// retentionDays is for how many days a log's payloads are kept; those of an erased organisation are
// not. uuid.Nil is the platform's own log.
func retentionDays(ctx context.Context, org uuid.UUID) (int, error) {
	s := open()
	if org != uuid.Nil {
		erased, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowTo[bool], "select erased_at is not null from orgs.orgs where id = $1", org)
		if err != nil || len(erased) == 1 && erased[0] {
			return 0, err
		}
	}
	row, err := s.setting(ctx, org, setting.AuditRetentionDays)
	if err != nil {
		return 0, err
	}
	return row.Resolved.Int(), nil
}

// invitationTerms are until when an invitation that is made now can be accepted, and whether the
// organisation invites the address at all.
func (s store) invitationTerms(ctx context.Context, org uuid.UUID, email string, now time.Time) (until time.Time, err error) {
	rows, err := s.settings(ctx, org, setting.InvitationsDomains, setting.InvitationsValidFor)
	if err != nil {
		return time.Time{}, err
	}
	domain := normalEmail(email[strings.LastIndexByte(email, '@')+1:])
	if allowed := rows[0].Resolved.Strings(); len(allowed) > 0 && !slices.Contains(allowed, domain) {
		var c fault.Checks
		c.Add("email", "is not at a domain that the organisation invites")
		return time.Time{}, c.Err()
	}
	return now.Add(rows[1].Resolved.Duration()), nil
}
