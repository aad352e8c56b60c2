// Package audit keeps the log of who did what, for each organisation and for the platform itself.
//
// Every service records [event.Event]s in the transaction of its change; they arrive here through
// the outbox and a topic, are written once each, and are never changed. Organisations read their own
// log; platform staff read all of them.
//
// Each organisation's log is a Merkle tree (RFC 6962), and so is the platform's. A writer computes a
// leaf and queues it; a sequencer numbers the leaves, grows the tree and signs a checkpoint of it,
// within a fraction of a second. Between the two an event is only promised, and not shown. What is
// personal lies under a key of the person's own, so that it can be erased and retention can remove
// payloads while every proof stays valid. [encore.app/audit/ledger] has the rules that anyone can
// verify the log by.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/audit/sink"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/telemetry"
	"encore.app/infra/platform/tenantdb"
	"encore.app/infra/platform/tracing"
	"encore.dev/pubsub"
	"encore.dev/shutdown"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
)

// Service keeps the log and carries the outbox to the topics.
//
//encore:service
type Service struct {
	store store
	relay *outbox.Relay

	keys      *ledger.Keys
	verifiers note.Verifiers
	sequencer *sequencer
	sinks     *sinks
}

// startWithin bounds how long the start waits for the object store.
const startWithin = 15 * time.Second

func initService() (*Service, error) {
	if err := telemetry.Setup(); err != nil {
		return nil, err
	}
	db := tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB))
	store := newStore(db)
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	checkpoints := checkpointBucket()
	keys, err := loadKeys(ctx, checkpoints)
	if err != nil {
		return nil, err
	}
	archive, err := newArchive(store, checkpoints, keys)
	if err != nil {
		return nil, err
	}
	sinks, err := startSinks(db, store, sinkConfig{
		rabbitURL: secrets.RABBITMQ_URL, secretsKey: secrets.SINK_SECRETS_KEY, allowPrivate: secrets.SINKS_ALLOW_PRIVATE,
		prefix: "tenantry", ladder: sink.Ladder,
	})
	if err != nil {
		return nil, err
	}
	sequencer := newSequencer(store, keys, archive)
	sequencer.start()
	events := pubsub.TopicRef[pubsub.Publisher[*event.Event]](Events)
	return &Service{
		store:     store,
		keys:      keys,
		sinks:     sinks,
		verifiers: archive.verifiers,
		sequencer: sequencer,
		relay: outbox.StartRelay(outbox.Config{
			DB: db,
			Topics: map[string]outbox.Publish{
				event.Topic: func(ctx context.Context, payload json.RawMessage) error {
					e := new(event.Event)
					if err := json.Unmarshal(payload, e); err != nil {
						return fmt.Errorf("%w: %w", outbox.ErrMalformed, err)
					}
					e.Traceparent = tracing.Traceparent(ctx)
					_, err := events.Publish(ctx, e)
					return err
				},
			},
		}),
	}, nil
}

// Shutdown stops the relay, the sequencer and the sinks; what they had claimed is done by another.
// Deliveries that run may end by themselves until tasks are cut off.
func (s *Service) Shutdown(p shutdown.Progress) error {
	s.relay.Close()
	s.sequencer.Close()
	err := s.sinks.stop(p.ForceCloseTasks)
	telemetry.Flush(p.ForceShutdown)
	return err
}
