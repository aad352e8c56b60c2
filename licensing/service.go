// Package licensing holds what each organisation may use: its tier, feature flags, seats and limits,
// and how much of them it has used.
//
// What is sold is data (package catalogue). A licence is granted by hand or bought at Stripe (package
// stripesync); it goes on for the catalogue's grace after its end, and then the organisation has the
// free tier again. Nobody is locked out by that: members above the seats stay, and no more can join.
//
// For other code: [Require] asks for a feature, [Reserve] takes a share of a limit before it is used,
// [Meter] counts what was used.
package licensing

import (
	"fmt"
	"time"

	"encore.app/infra/platform/database"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.app/licensing/stripesync"
	"encore.dev/rlog"
	"encore.dev/shutdown"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
)

var secrets struct {
	// STRIPE_API_KEY turns billing on.
	STRIPE_API_KEY string //host:optional
	// STRIPE_WEBHOOK_SECRET signs deliveries; two, separated by a comma, during rotation.
	STRIPE_WEBHOOK_SECRET string //host:optional
	// STRIPE_API_BASE is where Stripe is, if not where it always is.
	STRIPE_API_BASE string //host:optional
	// ENTITLEMENTS overrides the catalogue's defaults in this environment: name=value, with commas.
	ENTITLEMENTS string //host:optional
	// BILLING_RETURN_URL is where Stripe's pages lead back to.
	BILLING_RETURN_URL string //host:optional
}

// Service serves licences.
//
//encore:service
type Service struct {
	store    store
	stripe   *stripesync.Client // nil where billing is off
	hooks    []string           // the secrets that deliveries are signed with
	worker   *stripesync.Worker // nil where billing is off
	counter  counter
	reviewer *reviewer
}

func initService() (*Service, error) {
	st, err := open()
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: st, hooks: stripesync.Secrets(secrets.STRIPE_WEBHOOK_SECRET), reviewer: startReviewer(st),
		counter: newCounter(st.db.Pool().Config().MaxConns),
	}
	if secrets.STRIPE_API_KEY != "" {
		s.stripe = stripesync.NewClient(stripesync.Config{
			Key: secrets.STRIPE_API_KEY, BaseURL: secrets.STRIPE_API_BASE, Catalogue: st.catalogue,
		})
		s.worker = stripesync.NewWorker(stripesync.WorkerConfig{
			Queue: stripesync.Queue{DB: st.db}, Stripe: s.stripe, Licences: st,
		})
		s.worker.Start()
		if len(s.hooks) == 0 {
			rlog.Warn("STRIPE_API_KEY is set and STRIPE_WEBHOOK_SECRET is not: no delivery of Stripe is taken, and what is bought counts after the next reconciliation")
		}
	}
	return s, nil
}

// Shutdown stops the background work; what it had claimed, another takes over.
func (s *Service) Shutdown(shutdown.Progress) error {
	s.reviewer.close()
	if s.worker != nil {
		s.worker.Close()
	}
	return nil
}

// open is the store with everything that decides what a licence is worth.
func open() (store, error) {
	c, err := catalogue.Load()
	if err != nil {
		return store{}, fmt.Errorf("licensing: %w", err)
	}
	env, err := c.ParseLayer(secrets.ENTITLEMENTS)
	if err != nil {
		return store{}, fmt.Errorf("licensing: ENTITLEMENTS: %w", err)
	}
	return store{
		db: tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)), catalogue: c, env: env,
		now: func() time.Time { return time.Now().UTC() },
	}, nil
}
