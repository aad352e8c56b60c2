package token

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// RefetchInterval is the least time between two key fetches that tokens ask for.
	RefetchInterval = 30 * time.Second
	// RefreshInterval is the time between two key fetches in the background.
	RefreshInterval = 10 * time.Minute

	missingKept   = time.Minute // how long a key id stays known as missing
	missingMax    = 256
	probeInterval = 5 * time.Second
	// probeWithin is how long the issuer may take to show that it is there.
	probeWithin  = 1500 * time.Millisecond
	fetchTimeout = 3 * time.Second
	firstRetry   = time.Second // then doubling to RefetchInterval, while there are no keys at all
)

// keySet holds the issuer's keys. Bad tokens cannot make it fetch more often than
// once per RefetchInterval, and a failed fetch never costs the keys it has.
type keySet struct {
	issuer, base string
	client       *http.Client
	now          func() time.Time
	onGone       func(gone func(*publicKey) bool)

	ring    atomic.Pointer[keyRing]
	missing *lru.Cache[string, time.Time] // key ids that a fetch did not bring
	jwksURL atomic.Pointer[string]        // from discovery

	life context.Context // ends with close
	end  context.CancelFunc
	work sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	flight      *flight
	lastLoad    time.Time // last fetch asked for by a token while there were no keys
	lastRefetch time.Time // last fetch asked for by an unknown key id
	lastErr     error     // of the last fetch
	lastContact time.Time // last fetch or probe that got an answer, or tried to
	contactErr  error
}

// flight is a fetch under way, shared by all who wait for it.
type flight struct {
	done chan struct{}
	err  error
}

// errWait means that a fetch would come too soon after the last one.
var errWait = errors.New("keys were asked for a moment ago")

func newKeySet(c Config, onGone func(func(*publicKey) bool)) (*keySet, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "https" && issuer.Scheme != "http" {
		return nil, errors.New("token: the issuer is not an http(s) URL")
	}
	base := c.Issuer
	if c.InternalURL != "" {
		internal, err := url.Parse(c.InternalURL)
		if err != nil || internal.Host == "" || internal.Scheme != "https" && internal.Scheme != "http" {
			return nil, errors.New("token: the internal URL of the issuer is not an http(s) URL")
		}
		if strings.Trim(internal.Path, "/") == "" {
			internal.Path = issuer.Path
		}
		base = internal.String()
	}
	client := &http.Client{}
	if c.HTTPClient != nil {
		*client = *c.HTTPClient
	}
	if client.Timeout <= 0 || client.Timeout > fetchTimeout {
		client.Timeout = fetchTimeout
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	missing, err := lru.New[string, time.Time](missingMax)
	if err != nil {
		return nil, err
	}
	k := &keySet{
		issuer: c.Issuer, base: strings.TrimSuffix(base, "/"),
		client: client, now: c.Now, onGone: onGone, missing: missing,
	}
	k.life, k.end = context.WithCancel(context.Background())
	return k, nil
}

// find returns the keys that may have signed a token: the one it names or, if it
// names none, all that fit its algorithm.
func (k *keySet) find(ctx context.Context, kid, alg string) ([]*publicKey, error) {
	ring := k.ring.Load()
	if ring == nil {
		if err := k.fetch(ctx, &k.lastLoad); err != nil {
			return nil, &Error{Reason: KeysUnavailable, Err: err}
		}
		ring = k.ring.Load()
	}
	if found := ring.find(kid, alg); found != nil {
		return found, nil
	}
	if kid == "" || ring.has(kid) || k.knownMissing(kid) {
		return nil, refuse(BadSignature, "no such key")
	}
	switch err := k.fetch(ctx, &k.lastRefetch); {
	case errors.Is(err, errWait):
		return nil, refuse(BadSignature, "unknown key")
	case err != nil:
		return nil, &Error{Reason: KeysUnavailable, Err: err}
	}
	if found := k.ring.Load().find(kid, alg); found != nil {
		return found, nil
	}
	k.missing.Add(kid, k.now())
	return nil, refuse(BadSignature, "unknown key")
}

func (k *keySet) knownMissing(kid string) bool {
	since, ok := k.missing.Get(kid)
	return ok && k.now().Sub(since) < missingKept
}

// fetch waits for a fetch of the keys. It joins the one under way; else, with last
// given, it starts one only if *last is long enough ago.
func (k *keySet) fetch(ctx context.Context, last *time.Time) error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return errors.New("the verifier is closed")
	}
	f := k.flight
	if f == nil {
		if last != nil {
			now := k.now()
			if !last.IsZero() && now.Sub(*last) < RefetchInterval {
				err := k.lastErr
				k.mu.Unlock()
				if err != nil {
					return err
				}
				return errWait
			}
			*last = now
		}
		f = &flight{done: make(chan struct{})}
		k.flight = f
		k.work.Go(func() { k.fly(f) })
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fly makes one fetch and publishes its outcome.
func (k *keySet) fly(f *flight) {
	ctx, cancel := context.WithTimeout(k.life, fetchTimeout)
	defer cancel()
	ring, err := k.download(ctx)
	if err == nil {
		old := k.ring.Swap(ring)
		k.missing.Purge()
		if gone := old.without(ring); gone != nil {
			k.onGone(gone)
		}
	}
	k.mu.Lock()
	f.err, k.flight, k.lastErr = err, nil, err
	k.lastContact, k.contactErr = k.now(), err
	k.mu.Unlock()
	close(f.done)
}

// start keeps the keys fresh.
func (k *keySet) start(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.work.Go(func() {
		retry := firstRetry
		for {
			err := k.fetch(ctx, nil)
			wait := RefreshInterval
			if err != nil && k.ring.Load() == nil {
				wait, retry = retry, min(2*retry, RefetchInterval)
			}
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			case <-k.life.Done():
				timer.Stop()
				return
			}
		}
	})
}

func (k *keySet) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end()
	k.work.Wait()
}

// health probes the issuer unless it was heard of a moment ago.
func (k *keySet) health(ctx context.Context) error {
	if k.ring.Load() == nil {
		if err := k.fetch(ctx, &k.lastLoad); err != nil {
			return &Error{Reason: KeysUnavailable, Err: err}
		}
		return nil
	}
	k.mu.Lock()
	recent, err := k.now().Sub(k.lastContact) < probeInterval, k.contactErr
	if !recent {
		k.lastContact = k.now() // others who ask meanwhile get the last answer
	}
	k.mu.Unlock()
	if !recent {
		// Shorter than whoever asks is likely to wait: an issuer that hangs is away, and the next to
		// ask must hear so too.
		probe, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeWithin)
		defer cancel()
		_, err = k.discover(probe)
		k.mu.Lock()
		k.contactErr = err
		k.mu.Unlock()
	}
	if err != nil {
		return &Error{Reason: KeysUnavailable, Detail: "keys at hand, issuer not reached", Err: err}
	}
	return nil
}
