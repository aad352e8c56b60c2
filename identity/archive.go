package identity

import (
	"context"

	"encore.app/infra/platform/archive"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// archivedHere is what is kept here for an organisation, without the hashes of credentials.
var archivedHere = map[string]string{
	"api_key":       `select (to_jsonb(t) - array['hash', 'previous_hash'])::text from identity.api_keys t where org_id = $1 order by id`,
	"impersonation": `select (to_jsonb(t) - array['hash'])::text from identity.impersonations t where org_id = $1 order by id`,
}

// ArchiveOrg writes an organisation's keys and impersonations into its export.
func ArchiveOrg(ctx context.Context, tx pgx.Tx, org uuid.UUID, out *archive.Writer) error {
	return out.Types(ctx, tx, archivedHere, org)
}
