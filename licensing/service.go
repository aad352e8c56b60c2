// Package licensing holds what each organisation has paid for: its tier, feature flags and seats.
package licensing

import (
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Service serves licences.
//
//encore:service
type Service struct {
	store store
}

func initService() (*Service, error) {
	return &Service{store: store{db: tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB))}}, nil
}
