package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/deadletter"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// The kinds of queues.
const (
	kindOutbox = "outbox" // messages of a topic that are not settled
	kindBroker = "broker"
)

// queues are the outbox's topics, those in topics and those that rows are left of, and the broker's.
func (s *sinks) queues(ctx context.Context, topics []string) ([]Queue, error) {
	backlogs, err := outbox.Backlogs(ctx, s.store.db)
	if err != nil {
		return nil, err
	}
	var out []Queue
	for _, b := range backlogs {
		q := Queue{Name: b.Topic, Kind: kindOutbox, Depth: b.Depth, AgeSeconds: b.Age, Dead: b.Dead}
		if slices.Contains(topics, b.Topic) {
			q.Consumers = 1 // this process' relay
		}
		out = append(out, q)
	}
	for _, topic := range topics {
		if !slices.ContainsFunc(out, func(q Queue) bool { return q.Name == topic }) {
			out = append(out, Queue{Name: topic, Kind: kindOutbox, Consumers: 1})
		}
	}
	waiting, err := s.store.backlog(ctx)
	if err != nil {
		return nil, err
	}
	dead, err := deadletter.Count(ctx, s.store.db, sinkQueue)
	if err != nil {
		return nil, err
	}
	stats := s.brokerStats(ctx)
	out = append(out, Queue{
		Name: sinkQueue, Kind: kindBroker, Depth: waiting.Depth, AgeSeconds: waiting.Age,
		Dead: dead + stats.Dead, Consumers: stats.Consumers,
	})
	slices.SortFunc(out, func(a, b Queue) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// queue is what can be done about one queue's dead letters. No ids are all of them.
type queue struct {
	name    string
	dead    func(ctx context.Context, before deadletter.Position, limit int) ([]deadletter.Letter, error)
	requeue func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (int, error)
	purge   func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (int, error)
}

func (s *sinks) queue(ctx context.Context, topics []string, name string) (queue, error) {
	if name == sinkQueue {
		return s.deliveryQueue(), nil
	}
	all, err := s.queues(ctx, topics)
	if err != nil {
		return queue{}, err
	}
	if !slices.ContainsFunc(all, func(q Queue) bool { return q.Name == name }) {
		return queue{}, fault.NotFound("queue")
	}
	return queue{
		name: name,
		dead: func(ctx context.Context, before deadletter.Position, limit int) ([]deadletter.Letter, error) {
			return outbox.Dead(ctx, s.store.db, name, before, limit)
		},
		requeue: func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (int, error) {
			return outbox.Requeue(ctx, tx, name, ids)
		},
		purge: func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (int, error) {
			return outbox.Purge(ctx, tx, name, ids)
		},
	}, nil
}

// deliveryQueue is that of the sinks: to send a letter again is to make its delivery due again.
func (s *sinks) deliveryQueue() queue {
	take := func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]json.RawMessage, error) {
		return deadletter.Take(ctx, tx, sinkQueue, texts(ids))
	}
	return queue{
		name: sinkQueue,
		dead: func(ctx context.Context, before deadletter.Position, limit int) ([]deadletter.Letter, error) {
			return deadletter.List(ctx, s.store.db, sinkQueue, before, limit)
		},
		requeue: func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (int, error) {
			bodies, err := take(ctx, tx, ids)
			if err != nil {
				return 0, err
			}
			return len(bodies), revive(ctx, tx, bodies)
		},
		purge: func(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (int, error) {
			bodies, err := take(ctx, tx, ids)
			return len(bodies), err
		},
	}
}

// revive makes deliveries due again that were given up.
func revive(ctx context.Context, tx pgx.Tx, bodies []json.RawMessage) error {
	var ids []uuid.UUID
	for _, body := range bodies {
		var h hint
		if err := json.Unmarshal(body, &h); err == nil && h.ID != uuid.Nil { // another message can do nothing
			ids = append(ids, h.ID)
		}
	}
	// A sink's row comes before its deliveries', and sinks in the order of their ids: a deletion takes them so.
	_, err := tx.Exec(ctx, `
select from audit.sinks where (org_id, id) in (select org_id, sink_id from audit.deliveries where id = any($1) and state = 'failed')
 order by org_id, id for key share`, ids)
	if err == nil {
		_, err = tx.Exec(ctx, `
update audit.deliveries set state = 'pending', attempts = 0, lease = lease + 1, due_at = now()
 where id = any($1) and state = 'failed'`, ids)
	}
	if err != nil {
		return fmt.Errorf("audit: requeue deliveries: %w", err)
	}
	return nil
}

func texts(ids []uuid.UUID) []string {
	if len(ids) == 0 {
		return nil
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

// change does something to dead letters and records it in the platform's log, in one transaction.
func (s *sinks) change(ctx context.Context, q queue, action string, d authz.Decision, ids []uuid.UUID,
	do func(context.Context, pgx.Tx, []uuid.UUID) (int, error),
) (n int, err error) {
	if len(ids) == 0 {
		ids = nil
	}
	err = s.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if n, err = do(ctx, tx, ids); err != nil {
			return err
		}
		e, err := event.New(ctx, uuid.Nil, action, event.Resource{Kind: "queue", ID: q.name}, event.Succeeded, d).
			With(map[string]any{"count": n, "all": ids == nil})
		if err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	return n, err
}
