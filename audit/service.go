// Package audit keeps the log of who did what, for each organisation and for the platform itself.
//
// Every service records [event.Event]s in the transaction of its change; they arrive here through
// the outbox and a topic, are written once each, and are never changed. Organisations read their own
// log; platform staff read all of them.
package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"encore.app/audit/event"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/pubsub"
	"encore.dev/shutdown"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Service keeps the log and carries the outbox to the topics.
//
//encore:service
type Service struct {
	store store
	relay *outbox.Relay
}

func initService() (*Service, error) {
	db := tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB))
	events := pubsub.TopicRef[pubsub.Publisher[*event.Event]](Events)
	return &Service{
		store: newStore(db),
		relay: outbox.StartRelay(outbox.Config{
			DB: db,
			Topics: map[string]outbox.Publish{
				event.Topic: func(ctx context.Context, payload json.RawMessage) error {
					e := new(event.Event)
					if err := json.Unmarshal(payload, e); err != nil {
						return fmt.Errorf("%w: %w", outbox.ErrMalformed, err)
					}
					_, err := events.Publish(ctx, e)
					return err
				},
			},
		}),
	}, nil
}

// Shutdown stops the relay; what it had claimed is published again by another.
func (s *Service) Shutdown(shutdown.Progress) error {
	s.relay.Close()
	return nil
}
