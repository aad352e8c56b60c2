// Package identity knows who is calling: it verifies credentials and keeps a shadow of every user
// that ever signed in.
//
// Authentication is the issuer's work (any OpenID provider with Keycloak's token shape); what this
// service adds is a row per (issuer, subject), so that the rest of the app has an id of its own to
// refer to, a switch to turn a user off, and rules that refuse tokens before they expire. It also
// gives out credentials of its own: keys for machines, and impersonations for platform staff.
//
// What refuses a credential is a row, read again every few seconds on every replica, and at once
// where the notification of a change arrives. A replica that cannot read it lets nobody in.
package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"encore.app/authz/principal"
	"encore.app/identity/keycloak"
	"encore.app/identity/token"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.app/infra/platform/wake"
	"encore.dev/shutdown"
)

var secrets struct {
	// OIDC_ISSUER_URL is the issuer as tokens name it.
	OIDC_ISSUER_URL string
	// OIDC_INTERNAL_URL is where to reach the issuer from here, if elsewhere.
	OIDC_INTERNAL_URL string //host:optional
	// KEYCLOAK_PROVISIONER_SECRET turns the administration of the issuer's accounts on.
	KEYCLOAK_PROVISIONER_SECRET string //host:optional
}

// clients are the audiences and the client that each one's tokens are issued to.
var clients = map[string]string{
	principal.AudienceAdmin: "admin-console",
	principal.AudienceOrg:   "org-console",
	principal.AudienceApp:   "app",
}

// Service verifies callers.
//
//encore:service
type Service struct {
	tokens         *token.Verifier
	db             *tenantdb.DB
	users          *users
	keys           *keys
	impersonations *impersonations
	accounts       *keycloak.Client // nil where the issuer's accounts are not ours to change
	relay          *outbox.Relay

	cancel context.CancelFunc
	work   sync.WaitGroup
}

// verifier is one for the process: its cache and its keys serve every request.
var verifier = sync.OnceValues(func() (*token.Verifier, error) {
	if secrets.OIDC_ISSUER_URL == "" {
		return nil, errors.New("identity: OIDC_ISSUER_URL is not set: name the issuer whose tokens are accepted")
	}
	v, err := token.New(token.Config{
		Issuer:      secrets.OIDC_ISSUER_URL,
		InternalURL: secrets.OIDC_INTERNAL_URL,
		Audiences:   clients,
	})
	if err != nil {
		return nil, fmt.Errorf("identity: OIDC_ISSUER_URL: %w", err)
	}
	return v, nil
})

func initService() (*Service, error) {
	tokens, err := verifier()
	if err != nil {
		return nil, err
	}
	accounts, err := Realm()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	db := open()
	s := &Service{
		tokens:         tokens,
		db:             db,
		users:          newUsers(db, time.Now),
		keys:           newKeys(db, time.Now),
		impersonations: newImpersonations(db, time.Now, writingTakesTwo()),
		accounts:       accounts,
		relay:          relayOrders(db),
		cancel:         cancel,
	}
	tokens.Start(ctx)
	s.work.Go(func() { wake.Listen(ctx, db, channel, s.forget) })
	return s, nil
}

// forget drops what is remembered of a user, a key, an impersonation or a session; "" is everything.
func (s *Service) forget(what string) {
	all := what == ""
	s.users.drop(func(k key, u shadow) bool {
		return all || u.ID.String() == what || k.session == what || k.token == what
	})
	s.keys.drop(func(_ digest, k keyInUse) bool { return all || k.ID.String() == what || k.CreatedBy.String() == what })
	s.impersonations.drop(func(_ digest, i impersonationInUse) bool {
		return all || i.ID.String() == what || i.UserID.String() == what || i.ImpersonatorID.String() == what
	})
}

// Shutdown ends the relay, the refresh of the issuer's keys and the listening.
func (s *Service) Shutdown(shutdown.Progress) error {
	s.relay.Close()
	s.cancel()
	s.tokens.Close()
	s.work.Wait()
	return nil
}

// Healthy says whether the issuer's keys can be had.
func Healthy(ctx context.Context) error {
	tokens, err := verifier()
	if err != nil {
		return err
	}
	return tokens.Health(ctx)
}
