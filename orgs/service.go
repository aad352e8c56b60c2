// Package orgs holds the tenants: organisations, their teams and members, and the resources they own.
//
// It answers for everyone above it what a caller is in an organisation ([Resolve]); memberships live
// here, never in a token.
//
// Who belongs to an organisation and as what changes under a lock on its row, so that the last owner
// and the last seat are counted by one at a time. There is no mailer: the answer that makes an
// invitation holds its token, once, and who invites passes it on. Projects, documents and patient
// records are one implementation in three tables ([kind]).
package orgs

import (
	"fmt"

	"encore.app/identity"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/shutdown"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Service serves organisations and their resources.
//
//encore:service
type Service struct {
	store store
	relay *outbox.Relay
}

func initService() (*Service, error) {
	if _, err := environment(); err != nil {
		return nil, fmt.Errorf("orgs: SETTINGS: %w", err)
	}
	if _, err := identity.Realm(); err != nil {
		return nil, err
	}
	store := open()
	return &Service{store: store, relay: relayRealm(store.db)}, nil
}

// Shutdown ends the relay.
func (s *Service) Shutdown(shutdown.Progress) error {
	s.relay.Close()
	return nil
}

func open() store {
	return store{db: tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB))}
}
