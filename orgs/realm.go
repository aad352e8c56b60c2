package orgs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/identity"
	"encore.app/identity/keycloak"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/pubsub"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Where the app administers the issuer's realm, every organisation has its counterpart there, by its
// slug, with the same members: it is what the tokens' organization claim is from. It is brought in
// line after each change, from what the organisation is by then.

// realmTopic is the topic that orders travel on: the name of [Realm].
const realmTopic = "orgs-realm"

// RealmOrder says whose counterpart is to be brought in line.
type RealmOrder struct {
	ID    uuid.UUID `json:"id"`
	OrgID uuid.UUID `json:"org_id"`
}

// Realm carries orders from the outbox to whoever carries them out.
var Realm = pubsub.NewTopic[*RealmOrder]("orgs-realm", pubsub.TopicConfig{
	DeliveryGuarantee: pubsub.AtLeastOnce,
})

var _ = pubsub.NewSubscription(Realm, "orgs-keycloak", pubsub.SubscriptionConfig[*RealmOrder]{
	Handler:        pubsub.MethodHandler((*Service).bringInLine),
	MaxConcurrency: 4,
	// The outbox delivers again what is not settled.
	RetryPolicy: &pubsub.RetryPolicy{MinBackoff: time.Second, MaxBackoff: 5 * time.Second, MaxRetries: 2},
})

// realmWithin is less than the outbox waits before it delivers again, so that no two are at one order.
const realmWithin = 10 * time.Second

// orderRealm has the counterpart follow what e tells of, if it shows there.
func orderRealm(ctx context.Context, tx pgx.Tx, e event.Event) error {
	realm, err := identity.Realm()
	shows := e.Resource.Kind == "org" || e.Resource.Kind == "membership" || e.Action == "invitation:accept"
	if err != nil || realm == nil || !shows {
		return err
	}
	o := RealmOrder{ID: rowid.New(), OrgID: e.OrgID}
	return outbox.AddOrdered(ctx, tx, realmTopic, o.OrgID.String(), o.ID, o)
}

func (s *Service) bringInLine(ctx context.Context, o *RealmOrder) error {
	realm, err := identity.Realm()
	if err == nil && realm == nil {
		err = errors.New("orgs: KEYCLOAK_PROVISIONER_SECRET is not set, and organisations at the issuer are to be changed")
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, realmWithin)
	defer cancel()
	waits, err := outbox.Waits(ctx, s.store.db, o.ID)
	if err != nil || !waits {
		return err
	}
	want, ok, err := s.store.counterpart(ctx, o.OrgID)
	if err != nil {
		return err
	}
	if ok {
		if _, err := realm.SyncOrganization(ctx, want); err != nil {
			return err
		}
	}
	return s.store.db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error { return outbox.Settle(ctx, tx, o.ID) })
}

// counterpart is what an organisation is to look like in the realm.
func (s store) counterpart(ctx context.Context, id uuid.UUID) (c keycloak.Organization, ok bool, err error) {
	o, ok, err := s.org(ctx, platform, id)
	if err != nil || !ok {
		return c, false, err
	}
	members, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(id), pgx.RowTo[uuid.UUID], "select user_id from orgs.memberships where org_id = $1", id)
	if err != nil {
		return c, false, fmt.Errorf("orgs: members: %w", err)
	}
	// Names have to be unique there and need not be here.
	c = keycloak.Organization{Alias: o.Slug, Name: o.Slug, Enabled: o.Status == statusActive}
	c.Members, err = identity.Subjects(ctx, members)
	return c, true, err
}

// relayRealm carries orders from the outbox to their topic.
func relayRealm(db *tenantdb.DB) *outbox.Relay {
	orders := pubsub.TopicRef[pubsub.Publisher[*RealmOrder]](Realm)
	return outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{realmTopic: outbox.Decoded(orders.Publish)}})
}
