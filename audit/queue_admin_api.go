package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/deadletter"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// Queue is the state of one queue of background work.
type Queue struct {
	Name string `json:"name"`
	// Kind is outbox (messages of a topic that are not settled) or broker.
	Kind       string  `json:"kind"`
	Depth      int     `json:"depth"`       // what is not done
	AgeSeconds float64 `json:"age_seconds"` // of the oldest that is not done
	Dead       int     `json:"dead"`
	Consumers  int     `json:"consumers"`
}

// ListQueuesRequest asks for a page of queues.
type ListQueuesRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListQueuesRequest) Validate() error {
	_, _, err := r.page()
	return err
}

func (r *ListQueuesRequest) page() (after string, limit int, err error) {
	var c fault.Checks
	limit = page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, &after)
	return after, limit, c.Err()
}

// ListQueuesResponse is a page of queues, by name.
type ListQueuesResponse struct {
	Items      []Queue `json:"items"`
	NextCursor string  `json:"next_cursor"`
}

// ListQueues lists the queues of background work with how far behind each is.
//
// Platform staff may.
//
//encore:api auth method=GET path=/api/v1/admin/queues
func (s *Service) ListQueues(ctx context.Context, r *ListQueuesRequest) (*ListQueuesResponse, error) {
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	if _, err := authz.Check(ctx, "list", authz.Resource{Kind: "queue"}); err != nil {
		return nil, err
	}
	items, err := s.sinks.queues(ctx, s.relay.Topics())
	if err != nil {
		return nil, err
	}
	items = slices.DeleteFunc(items, func(q Queue) bool { return q.Name <= after })
	slices.SortFunc(items, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	items, next := page.Cut(items, limit, func(q Queue) any { return q.Name })
	return &ListQueuesResponse{Items: items, NextCursor: next}, nil
}

// DeadLetter is a message that was given up. Its body shows ids and names of things; what might be
// personal or secret is left out.
type DeadLetter struct {
	ID            string          `json:"id"`
	Queue         string          `json:"queue"`
	Body          json.RawMessage `json:"body"`
	Reason        string          `json:"reason"`
	Error         string          `json:"error"`
	Attempts      int             `json:"attempts"`
	FirstFailedAt time.Time       `json:"first_failed_at"`
	LastFailedAt  time.Time       `json:"last_failed_at"`
}

// ListDeadRequest asks for a page of dead letters.
type ListDeadRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListDeadRequest) Validate() error {
	_, _, err := r.page()
	return err
}

func (r *ListDeadRequest) page() (before deadletter.Position, limit int, err error) {
	var c fault.Checks
	limit = page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, &before)
	return before, limit, c.Err()
}

// ListDeadResponse is one page, newest first.
type ListDeadResponse struct {
	Items      []DeadLetter `json:"items"`
	NextCursor string       `json:"next_cursor"`
}

// ListDead lists a queue's dead letters.
//
// Platform staff may. Refuses with not_found.
//
//encore:api auth method=GET path=/api/v1/admin/queues/:queue/dead
func (s *Service) ListDead(ctx context.Context, queue string, r *ListDeadRequest) (*ListDeadResponse, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "queue", ID: queue}); err != nil {
		return nil, err
	}
	before, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	q, err := s.sinks.queue(ctx, s.relay.Topics(), queue)
	if err != nil {
		return nil, err
	}
	letters, err := q.dead(ctx, before, limit+1)
	if err != nil {
		return nil, err
	}
	letters, next := page.Cut(letters, limit, func(l deadletter.Letter) any { return l.Position() })
	out := &ListDeadResponse{Items: make([]DeadLetter, len(letters)), NextCursor: next}
	for i, l := range letters {
		out.Items[i] = DeadLetter{
			ID: l.ID, Queue: queue, Body: redact(l.Body), Reason: l.Reason, Error: l.Error, Attempts: l.Attempts,
			FirstFailedAt: l.FirstFailedAt.UTC(), LastFailedAt: l.DiedAt.UTC(),
		}
	}
	return out, nil
}

// maxIDs is how many letters a request may name.
const maxIDs = 200

// DeadLettersRequest says which letters; without any it is all of them. It is in the query, so that nobody
// has to send an empty body.
type DeadLettersRequest struct {
	IDs []uuid.UUID `query:"ids" schema:"maxItems=200"`
}

// Validate checks the request.
func (r *DeadLettersRequest) Validate() error {
	var c fault.Checks
	if len(r.IDs) > maxIDs {
		c.Add("ids", "has more than %d letters", maxIDs)
	}
	return c.Err()
}

// DeadCountResponse says how many letters it was.
type DeadCountResponse struct {
	Count int `json:"count"`
}

// RequeueDead sends dead letters again.
//
// Platform administrators may. Refuses with validation_failed, not_found and policy_denied.
//
//encore:api auth method=POST path=/api/v1/admin/queues/:queue/dead/requeue
func (s *Service) RequeueDead(ctx context.Context, queue string, r *DeadLettersRequest) (*DeadCountResponse, error) {
	d, err := authz.Check(ctx, "queue:requeue", authz.Resource{Kind: "queue", ID: queue})
	if err != nil {
		return nil, err
	}
	q, err := s.sinks.queue(ctx, s.relay.Topics(), queue)
	if err != nil {
		return nil, err
	}
	n, err := s.sinks.change(ctx, q, "queue:requeue", d, r.IDs, q.requeue)
	if err != nil {
		return nil, err
	}
	s.sinks.poke()
	return &DeadCountResponse{Count: n}, nil
}

// PurgeDead throws dead letters away. What they were to do is not done.
//
// Platform administrators may. Refuses with validation_failed, not_found and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/admin/queues/:queue/dead
func (s *Service) PurgeDead(ctx context.Context, queue string, r *DeadLettersRequest) (*DeadCountResponse, error) {
	d, err := authz.Check(ctx, "queue:purge", authz.Resource{Kind: "queue", ID: queue})
	if err != nil {
		return nil, err
	}
	q, err := s.sinks.queue(ctx, s.relay.Topics(), queue)
	if err != nil {
		return nil, err
	}
	n, err := s.sinks.change(ctx, q, "queue:purge", d, r.IDs, q.purge)
	if err != nil {
		return nil, err
	}
	return &DeadCountResponse{Count: n}, nil
}
