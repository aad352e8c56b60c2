package sink

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter       Filter
		kind, action string
		want         bool
	}{
		{nil, "project", "create", true},
		{Filter{"project.create"}, "project", "create", true},
		{Filter{"project.create"}, "project", "delete", false},
		{Filter{"project.*"}, "project", "delete", true},
		{Filter{"*.delete"}, "doc", "delete", true},
		{Filter{"*.delete"}, "doc", "update", false},
		{Filter{"doc", "create"}, "doc", "read", true},
		{Filter{"doc", "create"}, "project", "create", true},
		{Filter{"org.org:*"}, "org", "org:suspend", true},
		{Filter{"p*t.c*e"}, "patient", "create", true},
		{Filter{"p*t.c*e"}, "pet", "ce", true},
		{Filter{"p*t.c*e"}, "pt2", "ce", false},
		{Filter{"a*a"}, "a", "x", false}, // one a is not two
		{Filter{"*"}, "anything", "at_all", true},
	} {
		if got := c.filter.Match(c.kind, c.action); got != c.want {
			t.Errorf("%v on %s.%s: %v", c.filter, c.kind, c.action, got)
		}
	}
	for text, want := range map[string]bool{"project.*": true, "*": true, "org:suspend": true, "": false, "a.b.c": false, "A.b": false, "a b": false, strings.Repeat("a", 101): false} {
		if ValidPattern(text) != want {
			t.Errorf("%q valid: %v", text, !want)
		}
	}
}

// The example of the Standard Webhooks specification.
func TestSignatureIsThatOfTheStandard(t *testing.T) {
	t.Parallel()
	key, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), key, []byte("another key, being replaced"))
	first, second, both := strings.Cut(h.Get("webhook-signature"), " ")
	if first != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || !both || !strings.HasPrefix(second, "v1,") {
		t.Errorf("signature %q", h.Get("webhook-signature"))
	}
	if h.Get("webhook-id") != "msg_p5jXN8AQM9LWM0D4loKWxJek" || h.Get("webhook-timestamp") != "1614265330" {
		t.Errorf("headers %v", h)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	if a, b := NewSecret(), NewSecret(); a == b || !strings.HasPrefix(a, "whsec_") {
		t.Errorf("made %q and %q", a, b)
	}
	for secret, ok := range map[string]bool{
		NewSecret(): true, "sixteen letters!": true, "short": false, strings.Repeat("x", 65): false,
		"whsec_!": false, "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 15)): false,
	} {
		if _, err := ParseSecret(secret); (err == nil) != ok {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

func TestSealedSecretsOpenOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	s, err := NewSealer(strings.Repeat("k", 32))
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewSealer(strings.Repeat("o", 32))
	secret := []byte("the secret itself")
	kept := s.Seal("sink-1", secret)
	if bytes.Contains(kept, secret) {
		t.Error("the secret can be read")
	}
	if got, err := s.Open("sink-1", kept); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another sink": func() ([]byte, error) { return s.Open("sink-2", kept) },
		"another key":  func() ([]byte, error) { return other.Open("sink-1", kept) },
		"no key":       func() ([]byte, error) { return Sealer{}.Open("sink-1", kept) },
		"cut":          func() ([]byte, error) { return s.Open("sink-1", kept[:5]) },
		"nothing":      func() ([]byte, error) { return s.Open("sink-1", nil) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s opened it: %q", name, got)
		}
	}
	if got, err := s.Open("x", Sealer{}.Seal("x", secret)); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("what was kept before there was a key: %q, %v", got, err)
	}
	if _, err := NewSealer("short"); err == nil {
		t.Error("a short passphrase was taken")
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var b Breaker
	var opened []time.Duration
	for range 12 {
		var open time.Duration
		b, open = b.Fail(now)
		opened = append(opened, open)
	}
	if opened[BreakAfter-2] != 0 || opened[BreakAfter-1] != openFirst || opened[BreakAfter] != 2*openFirst || opened[11] != openMost {
		t.Errorf("open for %v", opened)
	}
	if !b.Probing() || b.Hopeless(now.Add(DisableAfter-time.Second)) || !b.Hopeless(now.Add(DisableAfter)) {
		t.Errorf("%+v", b)
	}
	if (Breaker{Failures: 2, FailingSince: now}).Hopeless(now.Add(2 * DisableAfter)) {
		t.Error("two failures, far apart, switch a sink off")
	}
}

// Nobody waits longer than this for a delivery to be given up, nor much shorter.
func TestTheLadderTakesDays(t *testing.T) {
	t.Parallel()
	var least, most time.Duration
	for attempt := 1; attempt < MaxAttempts; attempt++ {
		low := min(2*(attempt-1), len(Ladder)-2)
		least, most = least+Ladder[low], most+Ladder[low+1]
	}
	if least < 2*24*time.Hour || most > 5*24*time.Hour {
		t.Errorf("from %s to %s", least, most)
	}
}
