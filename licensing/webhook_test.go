package licensing

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standin "encore.app/infra/devstack/stripe"
	"encore.app/infra/platform/tenantdb"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const oldSecret = "whsec_before_the_rotation"

// hook posts a delivery and says how it was answered.
func hook(s *Service, payload []byte, signature string) (status int, body string) {
	r := httptest.NewRequest("POST", "/webhooks/stripe", bytes.NewReader(payload))
	if signature != "" {
		r.Header.Set("Stripe-Signature", signature)
	}
	w := httptest.NewRecorder()
	s.StripeWebhook(w, r)
	return w.Code, w.Body.String()
}

func eventFor(id, customer string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":"customer.subscription.updated","data":{"object":{"id":"sub_1","object":"subscription","customer":%q}}}`, id, customer)
}

// Not parallel: it reads counters that every delivery of this binary moves.
func TestOnlyWhatStripeSignedIsTaken(t *testing.T) {
	s := &Service{store: private(t), hooks: []string{testSecret, oldSecret}}
	good := eventFor("evt_1", "cus_1")
	now := time.Now()
	sign := standin.Sign
	padded := func(size int) []byte {
		p := eventFor("evt_"+fmt.Sprint(size), "cus_big")
		return append(p, bytes.Repeat([]byte(" "), size-len(p))...)
	}
	for name, c := range map[string]struct {
		payload   []byte
		signature string
		status    int
		result    string
	}{
		"right":                      {good, sign(good, testSecret, now), 200, "accepted"},
		"the old secret":             {eventFor("evt_2", "cus_2"), sign(eventFor("evt_2", "cus_2"), oldSecret, now), 200, "accepted"},
		"no signature":               {good, "", 400, "forged"},
		"not a signature":            {good, "v1=zz", 400, "forged"},
		"another secret":             {good, sign(good, "whsec_other", now), 400, "forged"},
		"another body":               {eventFor("evt_3", "cus_1"), sign(good, testSecret, now), 400, "forged"},
		"one byte more":              {append(bytes.Clone(good), ' '), sign(good, testSecret, now), 400, "forged"},
		"an empty body":              {nil, sign(good, testSecret, now), 400, "forged"},
		"stale":                      {good, sign(good, testSecret, now.Add(-301*time.Second)), 400, "stale"},
		"stale, by the old secret":   {good, sign(good, oldSecret, now.Add(-time.Hour)), 400, "stale"},
		"signed, and no JSON":        {[]byte("{"), sign([]byte("{"), testSecret, now), 400, "malformed"},
		"signed, and no event":       {[]byte(`{"id":""}`), sign([]byte(`{"id":""}`), testSecret, now), 400, "malformed"},
		"an id that no row can hold": {[]byte(`{"id":"a\u0000","type":"t"}`), sign([]byte(`{"id":"a\u0000","type":"t"}`), testSecret, now), 400, "malformed"},
		"about nobody":               {[]byte(`{"id":"evt_4","type":"t","data":{"object":{}}}`), sign([]byte(`{"id":"evt_4","type":"t","data":{"object":{}}}`), testSecret, now), 200, "accepted"},
		"1 MiB":                      {padded(maxDelivery), sign(padded(maxDelivery), testSecret, now), 200, "accepted"},
		"a byte more than 1 MiB":     {padded(maxDelivery + 1), sign(padded(maxDelivery+1), testSecret, now), 413, "too_large"},
	} {
		before := testutil.ToFloat64(deliveries.WithLabelValues(c.result))
		status, body := hook(s, c.payload, c.signature)
		if status != c.status {
			t.Errorf("%s: got %d, want %d: %s", name, status, c.status, body)
		}
		if testutil.ToFloat64(deliveries.WithLabelValues(c.result)) != before+1 {
			t.Errorf("%s: not counted as %s", name, c.result)
		}
		if strings.Contains(body, "whsec") || status >= 500 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := hook(&Service{store: s.store}, good, sign(good, testSecret, now)); status != http.StatusNotFound {
		t.Errorf("off: %d %s", status, body)
	}
}

func TestAReplayHasNoEffect(t *testing.T) {
	t.Parallel()
	s := &Service{store: private(t), hooks: []string{testSecret}}
	payload := eventFor("evt_1", "cus_1")
	signature := standin.Sign(payload, testSecret, time.Now())
	for range 3 {
		if status, body := hook(s, payload, signature); status != http.StatusOK {
			t.Fatalf("got %d: %s", status, body)
		}
		// Stripe's own repetition is signed anew.
		if status, body := hook(s, payload, standin.Sign(payload, testSecret, time.Now().Add(-time.Minute))); status != http.StatusOK {
			t.Fatalf("got %d: %s", status, body)
		}
	}
	if n := value[int](t, s.store, tenantdb.Platform(), "select generation::int from licensing.sync_queue where customer_id = 'cus_1'"); n != 1 {
		t.Errorf("the customer was marked %d times", n)
	}
	if n := value[int](t, s.store, tenantdb.Platform(), "select count(*)::int from licensing.stripe_events"); n != 1 {
		t.Errorf("%d events are kept", n)
	}
}

func TestADeliveryOutlivesTheConnection(t *testing.T) {
	t.Parallel()
	s := &Service{store: private(t), hooks: []string{testSecret}}
	payload := eventFor("evt_1", "cus_1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", "/webhooks/stripe", bytes.NewReader(payload))
	r.Header.Set("Stripe-Signature", standin.Sign(payload, testSecret, time.Now()))
	s.StripeWebhook(httptest.NewRecorder(), r)
	if n := value[int](t, s.store, tenantdb.Platform(), "select count(*)::int from licensing.sync_queue"); n != 1 {
		t.Errorf("%d customers are dirty", n)
	}
}
