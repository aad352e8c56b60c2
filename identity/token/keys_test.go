package token_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/identity/token"
)

// TestGarbageDoesNotFetch is the bound the package exists for.
func TestGarbageDoesNotFetch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.verify(b.sign(t, nil)); err != nil {
		t.Fatal(err)
	}
	payload := encode(t, b.claims(nil))
	garbage := func(n int) {
		for i := range n {
			h := map[string]any{"alg": "RS256", "kid": fmt.Sprintf("kid-%d", i)}
			var raw string
			switch i % 4 {
			case 0, 1: // unknown key
				raw = encode(t, h) + "." + payload + ".c2lnbmF0dXJl"
			case 2: // known key, bad signature
				h["kid"] = "rsa"
				raw = encode(t, h) + "." + payload + ".c2lnbmF0dXJl"
			case 3:
				raw = strings.Repeat("x", i%100)
			}
			if _, err := b.verify(raw); err == nil {
				t.Fatal("garbage passed")
			}
		}
	}
	garbage(10_000)
	if n := b.issuer.fetches(); n != 2 {
		t.Fatalf("%d key fetches, want the first and one for 10 000 garbage tokens", n)
	}
	for window := range 3 {
		b.clock.advance(token.RefetchInterval - time.Second)
		garbage(500)
		if n := b.issuer.fetches(); n != 2+window {
			t.Fatalf("%d key fetches within the interval, want %d", n, 2+window)
		}
		b.clock.advance(time.Second)
		garbage(500)
		if n := b.issuer.fetches(); n != 3+window {
			t.Fatalf("%d key fetches after %d intervals, want %d", n, window+1, 3+window)
		}
	}
}

// TestMissingKeyIsRemembered: one made-up key id cannot cause a fetch per interval.
func TestMissingKeyIsRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := signParts(t, rsaKey(), encode(t, map[string]any{"alg": "RS256", "kid": "made-up"}), encode(t, b.claims(nil)))
	b.verify(raw)
	before := b.issuer.fetches()
	b.clock.advance(token.RefetchInterval)
	b.verify(raw)
	if n := b.issuer.fetches(); n != before {
		t.Errorf("%d more fetches for a key known to be missing", n-before)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.sign(t, nil)
	if _, err := b.verify(old); err != nil {
		t.Fatal(err)
	}
	b.issuer.set(func(f *fakeIssuer) { f.keys = append(f.keys, published("next", "RS256", otherRSA())) })
	next := signParts(t, otherRSA(), encode(t, map[string]any{"alg": "RS256", "kid": "next"}), encode(t, b.claims(nil)))
	if _, err := b.verify(next); err != nil {
		t.Fatalf("a new key right after the first fetch: %v", err)
	}
	if _, err := b.verify(old); err != nil {
		t.Errorf("the old key is still published: %v", err)
	}

	// The old key disappears: what it signed is forgotten with it.
	b.issuer.set(func(f *fakeIssuer) { f.keys = f.keys[1:] })
	b.clock.advance(token.RefetchInterval)
	b.verify(signParts(t, otherRSA(), encode(t, map[string]any{"alg": "RS256", "kid": "whatever"}), encode(t, b.claims(nil))))
	if _, err := b.verify(old); reasonOf(err) != token.BadSignature {
		t.Errorf("a token of a withdrawn key: %v, want %s", err, token.BadSignature)
	}
	if _, err := b.verify(next); err != nil {
		t.Errorf("the remaining key: %v", err)
	}
}

func TestIssuerGoesDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.verify(b.sign(t, nil)); err != nil {
		t.Fatal(err)
	}
	b.issuer.set(func(f *fakeIssuer) { f.down = true })
	if _, err := b.verify(b.sign(t, map[string]any{"jti": "2"})); err != nil {
		t.Errorf("a known key needs no issuer: %v", err)
	}
	unknown := signParts(t, otherRSA(), encode(t, map[string]any{"alg": "RS256", "kid": "next"}), encode(t, b.claims(nil)))
	for range 2 {
		if _, err := b.verify(unknown); reasonOf(err) != token.KeysUnavailable {
			t.Errorf("an unknown key that cannot be looked up: %v, want %s", err, token.KeysUnavailable)
		}
	}
	if _, err := b.verify(b.sign(t, map[string]any{"jti": "3"})); err != nil {
		t.Errorf("the failed fetch cost the good keys: %v", err)
	}
	b.clock.advance(10 * time.Second)
	if err := b.Health(context.Background()); reasonOf(err) != token.KeysUnavailable {
		t.Errorf("health: %v", err)
	}
	b.issuer.set(func(f *fakeIssuer) { f.down = false })
	b.clock.advance(10 * time.Second)
	if err := b.Health(context.Background()); err != nil {
		t.Errorf("health after recovery: %v", err)
	}
}

func TestHealthProbesSparingly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Health(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := b.Health(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	b.issuer.mu.Lock()
	defer b.issuer.mu.Unlock()
	if b.issuer.discovered != 1 || b.issuer.certs != 1 {
		t.Errorf("%d discoveries and %d key fetches, want 1 and 1", b.issuer.discovered, b.issuer.certs)
	}
}

// TestFirstFetchIsShared: all who come before the keys wait for the same fetch.
func TestFirstFetchIsShared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hold := make(chan struct{})
	b.issuer.set(func(f *fakeIssuer) { f.hold = hold })
	raw := make([]string, 8)
	for i := range raw {
		raw[i] = b.sign(t, map[string]any{"jti": fmt.Sprint(i)})
	}
	var work sync.WaitGroup
	for _, one := range raw {
		work.Go(func() {
			if _, err := b.verify(one); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Verify(ctx, raw[0]); reasonOf(err) != token.KeysUnavailable {
		t.Errorf("a caller who leaves: %v", err)
	}
	close(hold)
	work.Wait()
	if n := b.issuer.fetches(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// waitForKeys polls until the background fetch has brought keys.
func (b *bench) waitForKeys(t *testing.T) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if _, ok := b.KeyAge(); ok {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("no keys")
		}
	}
}

// TestStartBeforeIssuer: an issuer that comes up later is found without a token's help.
func TestStartBeforeIssuer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.issuer.set(func(f *fakeIssuer) { f.down = true })
	b.Start(context.Background())
	if b.Health(context.Background()) == nil {
		t.Error("healthy without keys")
	}
	b.issuer.set(func(f *fakeIssuer) { f.down = false })
	b.waitForKeys(t)
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Start(context.Background())
	b.waitForKeys(t)
	b.Close()
	if _, err := b.verify(b.sign(t, nil)); err != nil {
		t.Errorf("after Close the keys at hand still serve: %v", err)
	}
	b.Start(context.Background()) // must not start anything that nobody stops
	b.Close()
}
