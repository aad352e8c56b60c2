package pdp

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
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
	// PolicyDigest names the policies decided by. A new one makes every entry
	// unreachable.
	PolicyDigest func() string
	// Epochs are the counters that whatever changes roles, teams, status, tier or
	// flags bumps for an organisation and for a user. An error skips the cache.
	// Either id may be empty. Nil where nothing counts, and the TTLs alone bound
	// how old an answer may be.
	Epochs func(ctx context.Context, orgID, userID string) (org, user uint64, err error)
	// Entries, AllowTTL and DenyTTL have defaults.
	Entries  int
	AllowTTL time.Duration
	DenyTTL  time.Duration
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Cached remembers decisions and plans in this process. It may be lost at any
// moment without harm, and it never remembers an error.
type Cached struct {
	cfg    CacheConfig
	recent *lru.Cache[key, entry]
	flight flight
}

var _ Decider = (*Cached)(nil)

// key is a hash of everything the decision point would see.
type key [sha256.Size]byte

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
	recent, err := lru.New[key, entry](cfg.Entries)
	if err != nil {
		return nil, fmt.Errorf("pdp: cache: %w", err)
	}
	return &Cached{cfg: cfg, recent: recent}, nil
}

// Forget drops everything.
func (c *Cached) Forget() { c.recent.Purge() }

// Check decides one action on one resource.
func (c *Cached) Check(ctx context.Context, p *principal.Principal, r Resource, action string) (Decision, error) {
	base, err := c.base(ctx, p, r.Attr)
	if err != nil {
		return c.cfg.Next.Check(ctx, p, r, action)
	}
	k, err := base.key("check", r, action)
	if err != nil {
		return Decision{}, err
	}
	if e, ok := c.get(k); ok {
		return e.decision, nil
	}
	e, err := c.flight.do(ctx, k, func(ctx context.Context) (entry, error) {
		d, err := c.cfg.Next.Check(ctx, p, r, action)
		if err != nil {
			return entry{}, err
		}
		return c.put(k, entry{decision: d}), nil
	})
	return e.decision, err
}

// CheckAll answers what it remembers and asks for the rest in one call.
func (c *Cached) CheckAll(ctx context.Context, p *principal.Principal, queries []Query) ([]map[string]Decision, error) {
	out := make([]map[string]Decision, len(queries))
	var (
		missing []Query
		at      []int // where in out each missing query belongs
		keys    []map[string]key
	)
	for i, q := range queries {
		base, err := c.base(ctx, p, q.Resource.Attr)
		if err != nil {
			return c.cfg.Next.CheckAll(ctx, p, queries)
		}
		out[i] = make(map[string]Decision, len(q.Actions))
		wanted := make(map[string]key)
		rest := Query{Resource: q.Resource}
		for _, action := range q.Actions {
			k, err := base.key("check", q.Resource, action)
			if err != nil {
				return nil, err
			}
			if e, ok := c.get(k); ok {
				out[i][action] = e.decision
				continue
			}
			wanted[action] = k
			rest.Actions = append(rest.Actions, action)
		}
		if len(rest.Actions) > 0 || len(q.Actions) == 0 { // an empty question is for the next to refuse
			missing, at, keys = append(missing, rest), append(at, i), append(keys, wanted)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	answers, err := c.cfg.Next.CheckAll(ctx, p, missing)
	if err != nil {
		return nil, err
	}
	for i, decisions := range answers {
		for action, d := range decisions {
			c.put(keys[i][action], entry{decision: d})
			out[at[i]][action] = d
		}
	}
	return out, nil
}

// Plan remembers plans like allowed decisions: they cost six times as much.
func (c *Cached) Plan(ctx context.Context, p *principal.Principal, action, kind string, known map[string]any) (*filter.Plan, error) {
	base, err := c.base(ctx, p, known)
	if err != nil {
		return c.cfg.Next.Plan(ctx, p, action, kind, known)
	}
	k, err := base.key("plan", Resource{Kind: kind, Attr: known}, action)
	if err != nil {
		return nil, err
	}
	if e, ok := c.get(k); ok {
		return e.plan, nil
	}
	e, err := c.flight.do(ctx, k, func(ctx context.Context) (entry, error) {
		plan, err := c.cfg.Next.Plan(ctx, p, action, kind, known)
		if err != nil {
			return entry{}, err
		}
		return c.put(k, entry{plan: plan}), nil
	})
	return e.plan, err
}

func (c *Cached) get(k key) (entry, bool) {
	e, ok := c.recent.Get(k)
	if !ok {
		return entry{}, false
	}
	if !c.cfg.Now().Before(e.until) {
		c.recent.Remove(k)
		return entry{}, false
	}
	e.decision.Cached = true
	return e, true
}

func (c *Cached) put(k key, e entry) entry {
	ttl := c.cfg.AllowTTL
	if (e.plan == nil && !e.decision.Allowed) || (e.plan != nil && e.plan.AlwaysDenied()) {
		ttl = c.cfg.DenyTTL
	}
	e.until = c.cfg.Now().Add(ttl)
	c.recent.Add(k, e)
	return e
}

// context of a key: who asks, under which policies, and as of when.
type keyBase struct {
	digest      string
	fingerprint [sha256.Size]byte
	epochs      [24]byte
}

// base reads the epochs before the question is asked, so that an answer from
// before a change is never found under the epoch after it. The organisation of
// the resource counts as well as the caller's own: they differ for staff.
func (c *Cached) base(ctx context.Context, p *principal.Principal, attr map[string]any) (keyBase, error) {
	fingerprint, err := p.Fingerprint()
	if err != nil {
		return keyBase{}, err
	}
	b := keyBase{digest: c.cfg.PolicyDigest(), fingerprint: fingerprint}
	if c.cfg.Epochs == nil {
		return b, nil
	}
	org, user, err := c.cfg.Epochs(ctx, p.OrgID(), p.Caller.UserID)
	if err != nil {
		return keyBase{}, err
	}
	binary.BigEndian.PutUint64(b.epochs[0:], org)
	binary.BigEndian.PutUint64(b.epochs[8:], user)
	if other, _ := attr["org_id"].(string); other != "" && other != p.OrgID() {
		org, _, err := c.cfg.Epochs(ctx, other, "")
		if err != nil {
			return keyBase{}, err
		}
		binary.BigEndian.PutUint64(b.epochs[16:], org)
	}
	return b, nil
}

func (b keyBase) key(question string, r Resource, action string) (key, error) {
	content, err := json.Marshal([]any{b.digest, b.fingerprint, b.epochs, question, r.Kind, r.ID, r.Attr, action})
	if err != nil {
		return key{}, fmt.Errorf("%w: %s: %w", ErrInvalid, r.Kind, err)
	}
	return sha256.Sum256(content), nil
}
