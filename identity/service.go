// Package identity knows who is calling: it verifies credentials and keeps a shadow of every user
// that ever signed in.
//
// Authentication is the issuer's work (any OpenID provider with Keycloak's token shape); what this
// service adds is a row per (issuer, subject), so that the rest of the app has an id of its own to
// refer to, and a switch to turn a user off.
package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"encore.app/authz/principal"
	"encore.app/identity/token"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/shutdown"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
)

var secrets struct {
	// OIDC_ISSUER_URL is the issuer as tokens name it.
	OIDC_ISSUER_URL string
	// OIDC_INTERNAL_URL is where to reach the issuer from here, if elsewhere.
	OIDC_INTERNAL_URL string
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
	tokens *token.Verifier
	users  *users
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
	tokens.Start(context.Background())
	return &Service{
		tokens: tokens,
		users:  newUsers(tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)), time.Now),
	}, nil
}

// Shutdown ends the refresh of the issuer's keys.
func (s *Service) Shutdown(shutdown.Progress) error {
	s.tokens.Close()
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
