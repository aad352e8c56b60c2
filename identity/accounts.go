package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"encore.app/identity/keycloak"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/pubsub"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// What the platform does to a user is done to their account at the issuer as well, where the app has
// a service account there (KEYCLOAK_PROVISIONER_SECRET). It is ordered in the transaction of the change and
// carried out after it, as often as it takes: no request waits for the issuer, or fails with it.

// accountTopic is the topic that orders travel on: the name of [Accounts].
const accountTopic = "identity-accounts"

// What can be ordered.
const (
	accountDisable = "disable"
	accountEnable  = "enable"
	accountSignOut = "sign_out"
	accountDelete  = "delete"
)

// AccountOrder is something to be done to an account at the issuer.
type AccountOrder struct {
	ID      uuid.UUID `json:"id"`
	Subject string    `json:"subject"`
	Do      string    `json:"do"`
}

// Accounts carries orders from the outbox to whoever carries them out.
var Accounts = pubsub.NewTopic[*AccountOrder]("identity-accounts", pubsub.TopicConfig{
	DeliveryGuarantee: pubsub.AtLeastOnce,
})

var _ = pubsub.NewSubscription(Accounts, "identity-keycloak", pubsub.SubscriptionConfig[*AccountOrder]{
	Handler:        pubsub.MethodHandler((*Service).carryOut),
	MaxConcurrency: 4,
	// The outbox delivers again what is not settled.
	RetryPolicy: &pubsub.RetryPolicy{MinBackoff: time.Second, MaxBackoff: 5 * time.Second, MaxRetries: 2},
})

// accountWithin is less than the outbox waits before it delivers again, so that no two are at one order.
const accountWithin = 10 * time.Second

// order has something done to p's account, after what was ordered for it before.
func order(ctx context.Context, tx pgx.Tx, p person, do string) error {
	if secrets.KEYCLOAK_PROVISIONER_SECRET == "" || p.Issuer != secrets.OIDC_ISSUER_URL {
		return nil
	}
	o := AccountOrder{ID: rowid.New(), Subject: p.Subject, Do: do}
	return outbox.AddOrdered(ctx, tx, accountTopic, p.Subject, o.ID, o)
}

// carryOut does what an order says. One that was done before is passed over: what was ordered after it
// may be done by now.
func (s *Service) carryOut(ctx context.Context, o *AccountOrder) error {
	if s.accounts == nil {
		return errors.New("identity: KEYCLOAK_PROVISIONER_SECRET is not set, and accounts at the issuer are to be changed")
	}
	ctx, cancel := context.WithTimeout(ctx, accountWithin)
	defer cancel()
	waits, err := outbox.Waits(ctx, s.db, o.ID)
	if err != nil || !waits {
		return err
	}
	switch o.Do {
	case accountDisable:
		err = s.accounts.DisableUser(ctx, o.Subject)
	case accountEnable:
		err = s.accounts.EnableUser(ctx, o.Subject)
	case accountSignOut:
		err = s.accounts.LogoutUser(ctx, o.Subject)
	case accountDelete:
		err = s.accounts.DeleteUser(ctx, o.Subject)
	default:
		err = fmt.Errorf("identity: nobody knows how to %q an account", o.Do)
	}
	if err != nil && !errors.Is(err, keycloak.ErrNotFound) { // an account that is gone is as was wanted
		return err
	}
	return s.db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error { return outbox.Settle(ctx, tx, o.ID) })
}

// Realm administers the issuer's accounts and organisations; nil where the app has no service account
// there.
func Realm() (*keycloak.Client, error) { return realm() }

var realm = sync.OnceValues(func() (*keycloak.Client, error) {
	if secrets.KEYCLOAK_PROVISIONER_SECRET == "" {
		return nil, nil
	}
	c, err := keycloak.New(keycloak.Config{
		Issuer: secrets.OIDC_ISSUER_URL, InternalURL: secrets.OIDC_INTERNAL_URL,
		ClientID: "tenantry-provisioner", ClientSecret: secrets.KEYCLOAK_PROVISIONER_SECRET,
	})
	if err != nil {
		return nil, fmt.Errorf("identity: KEYCLOAK_PROVISIONER_SECRET is set: %w", err)
	}
	return c, nil
})

// Subjects are the ids of users' accounts at the issuer, without those who have been erased.
func Subjects(ctx context.Context, users []uuid.UUID) ([]string, error) {
	found, err := tenantdb.Rows(ctx, open(), tenantdb.Scope{}, pgx.RowTo[string],
		"select subject from identity.users where id = any($1) and issuer = $2 and status <> 'erased' order by id", users, secrets.OIDC_ISSUER_URL)
	if err != nil {
		return nil, fmt.Errorf("identity: subjects: %w", err)
	}
	return found, nil
}

// relayOrders carries orders from the outbox to their topic.
func relayOrders(db *tenantdb.DB) *outbox.Relay {
	orders := pubsub.TopicRef[pubsub.Publisher[*AccountOrder]](Accounts)
	return outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{accountTopic: outbox.Decoded(orders.Publish)}})
}
