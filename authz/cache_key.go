package authz

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

const ensureCacheKey = `
with made as (insert into authz.cache_key (key) values ($1) on conflict do nothing returning key)
select key from made union all select key from authz.cache_key limit 1`

// cacheKey is what replicas seal the answers with that they leave each other in Redis: the installation's,
// made by whoever comes first.
func cacheKey(db *tenantdb.DB) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh)
	for {
		key, err := tenantdb.Row(ctx, db, tenantdb.Scope{}, pgx.RowTo[[]byte], ensureCacheKey, fresh)
		if errors.Is(err, pgx.ErrNoRows) { // another replica's, which the next statement sees
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("authz: the cache's key: %w", err)
		}
		return key, nil
	}
}
