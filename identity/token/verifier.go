package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// MaxSize is the longest token that is looked at, in bytes.
	MaxSize = 8 << 10
	// MaxLifetime is how long a token may live at most, so that whoever revokes one knows for how long
	// to remember it.
	MaxLifetime = 24 * time.Hour

	defaultSkew      = 30 * time.Second
	defaultCacheSize = 10_000
)

// Config says whose tokens are good and for whom.
type Config struct {
	// Issuer is the exact iss of good tokens.
	Issuer string
	// InternalURL is where the issuer is reached when that is not Issuer: the whole
	// issuer URL as seen from here or only its scheme, host and port.
	InternalURL string
	// Audiences maps each accepted audience to the client that stands for it: the azp
	// that settles a token for several audiences, and the key of ClientRoles.
	Audiences map[string]string
	// HTTPClient fetches keys; nil gives one of its own. Its timeout is capped at
	// three seconds and redirects are refused.
	HTTPClient *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Skew is how far the issuer's clock may be off; 0 means 30 seconds.
	Skew time.Duration
	// ACR maps acr values to levels; nil means {"1":1,"2":2}. Any other value is 0.
	ACR map[string]int
	// CacheSize is how many verified tokens are remembered; 0 means 10 000.
	CacheSize int
}

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	issuer    string
	audiences map[string]string
	acr       map[string]int
	skew      time.Duration
	now       func() time.Time
	keys      *keySet
	cache     *lru.Cache[digest, *verified]
	revision  atomic.Uint64 // counts what made remembered tokens doubtful
}

// verified is a remembered token.
type verified struct {
	claims Claims
	key    *publicKey
	until  time.Time // Expiry plus skew
}

// New makes a verifier without touching the network. Start and Close frame its life;
// without Start, the first token fetches the keys.
func New(c Config) (*Verifier, error) {
	if len(c.Audiences) == 0 {
		return nil, errors.New("token: no audience configured")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Skew == 0 {
		c.Skew = defaultSkew
	}
	if c.ACR == nil {
		c.ACR = map[string]int{"1": 1, "2": 2}
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	cache, err := lru.New[digest, *verified](c.CacheSize)
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		issuer:    c.Issuer,
		audiences: maps.Clone(c.Audiences),
		acr:       maps.Clone(c.ACR),
		skew:      c.Skew,
		now:       c.Now,
		cache:     cache,
	}
	v.keys, err = newKeySet(c, v.dropKeys)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Verify returns the claims of a good token or an *Error.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	if len(raw) > MaxSize {
		return nil, refuse(Malformed, "too long")
	}
	space := spaces.Get().(*space)
	defer spaces.Put(space)
	text := space.raw[:copy(space.raw[:], raw)]
	id := digest(sha256.Sum256(text))
	if known, ok := v.cache.Get(id); ok {
		if v.now().Before(known.until) {
			return &known.claims, nil
		}
		v.cache.Remove(id)
		return nil, refuse(Expired, "")
	}

	revision := v.revision.Load()
	t, err := v.inspect(text, space.decoded[:])
	if err != nil {
		return nil, err
	}
	key, err := v.checkSignature(ctx, t)
	if err != nil {
		return nil, err
	}
	known := &verified{claims: t.claims, key: key, until: t.claims.Expiry.Add(v.skew)}
	v.cache.Add(id, known)
	if v.revision.Load() != revision {
		// Something was revoked meanwhile, perhaps this.
		v.cache.Remove(id)
	}
	return &known.claims, nil
}

// Revoke forgets every remembered token that matches and returns how many there were.
// It makes the next use of such a token a full verification; the rule that refuses it
// for good stays with the caller.
func (v *Verifier) Revoke(match func(*Claims) bool) int {
	return v.forget(func(known *verified) bool { return match(&known.claims) })
}

// dropKeys forgets tokens whose key the issuer no longer publishes.
func (v *Verifier) dropKeys(gone func(*publicKey) bool) {
	v.forget(func(known *verified) bool { return gone(known.key) })
}

func (v *Verifier) forget(match func(*verified) bool) (n int) {
	v.revision.Add(1)
	for _, id := range v.cache.Keys() {
		if known, ok := v.cache.Peek(id); ok && match(known) {
			v.cache.Remove(id)
			n++
		}
	}
	return n
}

// Start fetches the keys now and every [RefreshInterval] until ctx ends or Close is called.
func (v *Verifier) Start(ctx context.Context) { v.keys.start(ctx) }

// Close stops the refresh and waits for it. Remembered tokens and keys stay usable.
func (v *Verifier) Close() { v.keys.close() }

// Health tells whether the issuer answers and its keys are at hand. It asks the
// issuer at most once in five seconds and does not fetch keys if there are some.
func (v *Verifier) Health(ctx context.Context) error { return v.keys.health(ctx) }

// KeyAge is how long ago the keys were fetched; ok is false if there are none.
func (v *Verifier) KeyAge() (age time.Duration, ok bool) {
	ring := v.keys.ring.Load()
	if ring == nil {
		return 0, false
	}
	return v.now().Sub(ring.fetched), true
}

type digest = [sha256.Size]byte

// space is what it takes to read one token, so that nothing that grows with it is allocated.
type space struct{ raw, decoded [MaxSize]byte }

var spaces = sync.Pool{New: func() any { return new(space) }}
