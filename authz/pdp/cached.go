package pdp

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"encore.app/authz/filter"
	"encore.app/authz/principal"
	lru "github.com/hashicorp/golang-lru/v2"
)

// What a cache keeps unless its configuration says otherwise. Denials are kept
// shorter: they are what somebody is waiting to see change.
const (
	DefaultEntries  = 50_000
	DefaultAllowTTL = 5 * time.Second
	DefaultDenyTTL  = time.Second
)

// CacheConfig is what NewCached needs.
type CacheConfig struct {
	Next Decider
	// Shared is a second level behind the memory of this process; nil for none.
	Shared Shared
	// PolicyDigest names the policies decided by. A new one makes every entry
	// unreachable.
	PolicyDigest func() string
	// Epochs is the counter of an organisation or a user, which whatever changes
	// roles, teams, status, tier or flags bumps; the subject "" stands for
	// everything. An error skips the cache. Nil where nothing counts, and the TTLs
	// alone bound how old an answer may be.
	Epochs func(ctx context.Context, subject string) (uint64, error)
	// Entries, AllowTTL and DenyTTL have defaults.
	Entries  int
	AllowTTL time.Duration
	DenyTTL  time.Duration
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Cached remembers decisions and plans: in this process, then in a store that
// all replicas share. Both may be lost at any moment without harm, and neither
// ever remembers an error. Equal questions asked at once are asked once.
type Cached struct {
	cfg    CacheConfig
	recent *lru.Cache[Key, entry]
	flight flight
}

var _ Decider = (*Cached)(nil)

type entry struct {
	decision Decision
	plan     *filter.Plan
	until    time.Time
}

// NewCached puts a cache in front of another Decider.
func NewCached(cfg CacheConfig) (*Cached, error) {
	if cfg.Entries <= 0 {
		cfg.Entries = DefaultEntries
	}
	if cfg.AllowTTL <= 0 {
		cfg.AllowTTL = DefaultAllowTTL
	}
	if cfg.DenyTTL <= 0 {
		cfg.DenyTTL = DefaultDenyTTL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.PolicyDigest == nil {
		cfg.PolicyDigest = func() string { return "" }
	}
	recent, err := lru.New[Key, entry](cfg.Entries)
	if err != nil {
		return nil, fmt.Errorf("pdp: cache: %w", err)
	}
	return &Cached{cfg: cfg, recent: recent}, nil
}

// Forget drops everything that this process remembers.
func (c *Cached) Forget() { c.recent.Purge() }

// Check decides one action on one resource.
func (c *Cached) Check(ctx context.Context, p *principal.Principal, r Resource, action string) (Decision, error) {
	base, err := c.base(ctx, p, r.Attr)
	if err != nil {
		bypassed.Inc()
		return c.cfg.Next.Check(ctx, p, r, action)
	}
	k, err := base.key(questionCheck, r, action)
	if err != nil {
		return Decision{}, err
	}
	e, err := c.one(ctx, k, func(ctx context.Context) (entry, error) {
		d, err := c.cfg.Next.Check(ctx, p, r, action)
		return entry{decision: d}, err
	})
	return e.decision, err
}

// Plan remembers plans like allowed decisions: they cost six times as much.
func (c *Cached) Plan(ctx context.Context, p *principal.Principal, action, kind string, known map[string]any) (*filter.Plan, error) {
	base, err := c.base(ctx, p, known)
	if err != nil {
		bypassed.Inc()
		return c.cfg.Next.Plan(ctx, p, action, kind, known)
	}
	k, err := base.key(questionPlan, Resource{Kind: kind, Attr: known}, action)
	if err != nil {
		return nil, err
	}
	e, err := c.one(ctx, k, func(ctx context.Context) (entry, error) {
		plan, err := c.cfg.Next.Plan(ctx, p, action, kind, known)
		return entry{plan: plan}, err
	})
	return e.plan, err
}

// one answers from memory, from the shared store, or by asking once for all that wait.
func (c *Cached) one(ctx context.Context, k Key, ask func(context.Context) (entry, error)) (entry, error) {
	if e, ok := c.get(k); ok {
		return e, nil
	}
	if c.cfg.Shared != nil {
		if texts := c.cfg.Shared.Load(ctx, []Key{k}); len(texts) == 1 {
			if e, ok := c.take(k, texts[0], c.cfg.Now()); ok {
				return e, nil
			}
		}
	}
	return fly(ctx, &c.flight, k, func(ctx context.Context) (entry, error) {
		if e, ok := c.get(k); ok { // somebody else was just answered
			return e, nil
		}
		e, err := ask(ctx)
		if err != nil {
			return entry{}, err
		}
		return c.put(k, e), nil
	})
}

func (c *Cached) get(k Key) (entry, bool) {
	e, ok := c.recent.Get(k)
	if !ok {
		return entry{}, false
	}
	if !c.cfg.Now().Before(e.until) {
		c.recent.Remove(k)
		return entry{}, false
	}
	return e.from(LayerMemory), true
}

// from is e as a layer remembered it.
func (e entry) from(layer string) entry {
	e.decision.Cached = layer
	if e.plan != nil {
		e.plan = e.plan.From(layer)
	}
	return e
}

func (c *Cached) put(k Key, e entry) entry {
	ttl := c.ttl(e)
	e.until = c.cfg.Now().Add(ttl)
	c.recent.Add(k, e)
	if c.cfg.Shared != nil {
		if text, ok := e.encode(); ok {
			c.cfg.Shared.Save(k, text, ttl)
		}
	}
	return e
}

func (c *Cached) ttl(e entry) time.Duration {
	if (e.plan == nil && !e.decision.Allowed) || (e.plan != nil && e.plan.AlwaysDenied()) {
		return c.cfg.DenyTTL
	}
	return c.cfg.AllowTTL
}

// shared is what the other replicas remember of these keys, kept here for no longer than there.
func (c *Cached) shared(ctx context.Context, keys ...Key) map[Key]entry {
	if c.cfg.Shared == nil || len(keys) == 0 {
		return nil
	}
	now := c.cfg.Now()
	found := map[Key]entry{}
	for i, text := range c.cfg.Shared.Load(ctx, keys) {
		if e, ok := c.take(keys[i], text, now); ok {
			found[keys[i]] = e
		}
	}
	return found
}

// take keeps here what was found there, if it can be read and is still good.
func (c *Cached) take(k Key, text []byte, now time.Time) (entry, bool) {
	e, ok := decode(text)
	if !ok || !now.Before(e.until) {
		return entry{}, false
	}
	if latest := now.Add(c.ttl(e)); e.until.After(latest) { // another clock is ahead
		e.until = latest
	}
	c.recent.Add(k, e)
	return e.from(LayerRedis), true
}

// base reads the epochs before the question is asked, so that an answer from
// before a change is never found under the epoch after it. Those that the
// principal was read with are as new as the request. The organisation of the
// resource counts as well as the caller's own: they differ for staff.
func (c *Cached) base(ctx context.Context, p *principal.Principal, attr map[string]any) (b keyBase, err error) {
	b.digest = c.cfg.PolicyDigest()
	if b.fingerprint, err = p.Fingerprint(); err != nil || c.cfg.Epochs == nil {
		return b, err
	}
	if b.epochs[0], err = c.cfg.Epochs(ctx, ""); err != nil {
		return b, err
	}
	b.epochs[1], b.epochs[2] = p.Epochs()
	for i, subject := range [...]string{1: p.OrgID(), 2: p.Caller.UserID, 3: foreign(p, attr)} {
		if subject == "" || b.epochs[i] != 0 {
			continue
		}
		if b.epochs[i], err = c.cfg.Epochs(ctx, subject); err != nil {
			return b, err
		}
	}
	return b, nil
}

// foreign is the resource's organisation, where it is not the caller's.
func foreign(p *principal.Principal, attr map[string]any) string {
	if org, _ := attr["org_id"].(string); org != p.OrgID() {
		return org
	}
	return ""
}

// joined is one key for a set of questions.
func joined(keys []Key) Key {
	h := sha256.New()
	for i := range keys {
		h.Write(keys[i][:])
	}
	return Key(h.Sum(nil))
}
