package orgs

import (
	"context"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Usage is how much of what licences limit an organisation has.
type Usage struct {
	Members   int64 // without those who were erased
	Resources int64 // projects, documents and patient records that are not deleted
}

const countResources = `
select (select count(*) from orgs.projects p where p.org_id = $1 and p.deleted_at is null) +
       (select count(*) from orgs.docs d where d.org_id = $1 and d.deleted_at is null) +
       (select count(*) from orgs.patient_records r where r.org_id = $1 and r.deleted_at is null)`

const selectUsage = `
select (select count(*) from orgs.memberships m where m.org_id = $1 and m.erased_at is null), (` + countResources + `)
  from orgs.orgs o where o.id = $1 and o.erased_at is null`

// UsageOf counts what an organisation has; ok is false if there is no such organisation, or if it was
// erased.
func UsageOf(ctx context.Context, db *tenantdb.DB, org uuid.UUID) (u Usage, ok bool, err error) {
	u, err = tenantdb.Row(ctx, db, tenantdb.Org(org), pgx.RowToStructByPos[Usage], selectUsage, org)
	return found(u, err, "usage")
}
