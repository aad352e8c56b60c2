package authz

import (
	"context"
	"sync"
)

// Made is a decision that was made for a request.
type Made struct {
	Decision
	Action     string
	Kind       string
	ResourceID string
}

// Trail collects the decisions of one request, so that whoever stands in front of the endpoint can
// prove that there was one.
type Trail struct {
	mu   sync.Mutex
	made []Made
}

type trailKey struct{}

// WithTrail returns ctx carrying a fresh trail.
func WithTrail(ctx context.Context) (context.Context, *Trail) {
	t := new(Trail)
	return context.WithValue(ctx, trailKey{}, t), t
}

// Note adds a decision to the trail that ctx carries, if it carries one.
func Note(ctx context.Context, m Made) {
	if t, ok := ctx.Value(trailKey{}).(*Trail); ok {
		t.mu.Lock()
		t.made = append(t.made, m)
		t.mu.Unlock()
	}
}

// Last is the latest decision; ok is false if none was made.
func (t *Trail) Last() (m Made, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.made) == 0 {
		return Made{}, false
	}
	return t.made[len(t.made)-1], true
}

// Denied is the first decision that went against the caller.
func (t *Trail) Denied() (m Made, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.made {
		if !m.Allowed {
			return m, true
		}
	}
	return Made{}, false
}
