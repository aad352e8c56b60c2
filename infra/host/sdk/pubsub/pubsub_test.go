//go:build stockhost

package pubsub

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/broker"
	"encore.dev/internal/capture"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/scope"
)

// These tests use the in-process transport, whatever the environment offers.
func TestMain(m *testing.M) {
	if err := os.Unsetenv(urlVariable); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

type signup struct {
	Email string `json:"email"`
	Org   string `json:"org" pubsub-attr:"org-id"`
	Seats int    `json:"seats" pubsub-attr:"seats"`
}

var once = TopicConfig{DeliveryGuarantee: AtLeastOnce}

// start runs a hub in memory for the test.
func start(t *testing.T, h *hub) {
	t.Helper()
	if err := h.open(t.Context(), lifecycle.All); err != nil {
		t.Fatal(err)
	}
	if err := h.consume(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(h.drain(ctx, ctx), h.close()); err != nil {
			t.Error(err)
		}
	})
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestHandlerSeesItsMessageAndNoCaller(t *testing.T) {
	t.Parallel()
	type seen struct {
		msg    *signup
		req    *encore.Request
		scope  *scope.Scope
		caller bool
	}
	got := make(chan seen, 1)
	h := &hub{}
	topic := newTopic[*signup](h, "signups", once)
	NewSubscription(topic, "welcome", SubscriptionConfig[*signup]{Handler: func(ctx context.Context, msg *signup) error {
		_, caller := auth.UserID()
		got <- seen{msg, encore.CurrentRequest(), scope.From(ctx), caller}
		return nil
	}})
	start(t, h)

	var id string
	publisher := &scope.Scope{UID: "ada", TraceID: "trace", RequestID: "request"}
	scope.Run(t.Context(), publisher, func(ctx context.Context) {
		var err error
		if id, err = topic.Publish(ctx, &signup{Email: "a@b", Org: "acme", Seats: 3}); err != nil {
			t.Fatal(err)
		}
	})
	s := receive(t, got)
	if s.msg.Email != "a@b" || s.caller {
		t.Fatalf("message %+v, caller %v", s.msg, s.caller)
	}
	if s.scope.TraceID != "trace" || s.scope.RequestID != "request" || s.scope.UID != "" {
		t.Errorf("scope %+v", s.scope)
	}
	m := s.req.Message
	if s.req.Type != encore.PubSubMessage || s.req.Payload != any(s.msg) || m.Topic != "signups" || m.Subscription != "welcome" || m.ID != id || m.DeliveryAttempt != 1 || m.Published.IsZero() {
		t.Errorf("request %+v, message %+v", s.req, m)
	}
}

func TestBadBodyIsAFailure(t *testing.T) {
	t.Parallel()
	s := &Subscription[*signup]{topic: &Topic[*signup]{}, cfg: SubscriptionConfig[*signup]{Handler: func(context.Context, *signup) error {
		t.Error("the handler was called")
		return nil
	}}}
	if err := s.handle(t.Context(), &broker.Message{Body: []byte(`[]`)}); err == nil {
		t.Fatal("no error")
	}
}

func TestPublishWithoutWorkersIsUnavailable(t *testing.T) {
	t.Parallel()
	h := &hub{}
	topic := newTopic[*signup](h, "signups", once)
	NewSubscription(topic, "welcome", SubscriptionConfig[*signup]{Handler: func(context.Context, *signup) error { return nil }})
	if err := h.open(t.Context(), lifecycle.Web); err != nil {
		t.Fatal(err)
	}
	_, err := topic.Publish(t.Context(), &signup{})
	if errs.Code(err) != errs.Unavailable || !errors.Is(err, broker.ErrNoConsumer) {
		t.Fatalf("err = %v", err)
	}
}

func TestPublishIsCapturedInTests(t *testing.T) {
	t.Parallel()
	topic := NewTopic[*signup]("captured", once)
	for _, email := range []string{"a", "b"} {
		if id, err := topic.Publish(t.Context(), &signup{Email: email}); err != nil || id == "" {
			t.Fatal(id, err)
		}
	}
	msgs := capture.Messages("captured")
	if len(msgs) != 2 || msgs[1].(*signup).Email != "b" {
		t.Fatalf("captured %v", msgs)
	}
}

func TestRef(t *testing.T) {
	t.Parallel()
	topic := newTopic[*signup](&hub{}, "refs", once)
	r := TopicRef[Publisher[*signup]](topic)
	if r.Meta().Name != "refs" {
		t.Fatal(r.Meta())
	}
	if _, ok := any(r).(*Topic[*signup]); ok {
		t.Fatal("a reference is the topic itself")
	}
}

func TestConfigurationDefaults(t *testing.T) {
	t.Parallel()
	handler := func(context.Context, *signup) error { return nil }
	for name, tc := range map[string]struct {
		cfg                   SubscriptionConfig[*signup]
		concurrency, retries  int
		ack, minBack, maxBack time.Duration
	}{
		"zero":      {SubscriptionConfig[*signup]{}, 100, 100, 30 * time.Second, 10 * time.Second, 10 * time.Minute},
		"negative":  {SubscriptionConfig[*signup]{MaxConcurrency: -1, RetryPolicy: &RetryPolicy{MaxRetries: InfiniteRetries}}, 256, broker.Infinite, 30 * time.Second, 10 * time.Second, 10 * time.Minute},
		"own":       {SubscriptionConfig[*signup]{MaxConcurrency: 7, AckDeadline: time.Minute, RetryPolicy: &RetryPolicy{MinBackoff: time.Second, MaxBackoff: time.Minute, MaxRetries: 3}}, 7, 3, time.Minute, time.Second, time.Minute},
		"none":      {SubscriptionConfig[*signup]{RetryPolicy: &RetryPolicy{MaxRetries: NoRetries}}, 100, 0, 30 * time.Second, 10 * time.Second, 10 * time.Minute},
		"long step": {SubscriptionConfig[*signup]{RetryPolicy: &RetryPolicy{MinBackoff: time.Hour}}, 100, 100, 30 * time.Second, time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.cfg.Handler = handler
			h := &hub{}
			NewSubscription(newTopic[*signup](h, "t", once), "s", tc.cfg)
			b := h.topology.Subscriptions[0]
			if b.Concurrency != tc.concurrency || b.MaxRetries != tc.retries || b.AckDeadline != tc.ack || b.MinBackoff != tc.minBack || b.MaxBackoff != tc.maxBack || b.Retention != 7*24*time.Hour {
				t.Fatalf("%+v", b)
			}
		})
	}
}

func TestBadDeclarationsStopTheStart(t *testing.T) {
	t.Parallel()
	h := &hub{}
	topic := newTopic[*signup](h, "a", TopicConfig{})
	newTopic[*signup](h, "a", TopicConfig{DeliveryGuarantee: ExactlyOnce, OrderingAttribute: "org-id"})
	for range 2 {
		NewSubscription(topic, "s", SubscriptionConfig[*signup]{Handler: func(context.Context, *signup) error { return nil }})
	}
	err := h.open(t.Context(), lifecycle.All)
	for _, want := range []string{`"a" is declared twice`, "no delivery guarantee", "does not support OrderingAttribute", `"s" of topic "a" is declared twice`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
}

func TestUnreachableBrokerStopsTheStart(t *testing.T) {
	t.Setenv("RABBITMQ_URL", "amqp://u:hunter2@127.0.0.1:1/")
	h := &hub{}
	newTopic[*signup](h, "a", once)
	if err := h.open(t.Context(), lifecycle.All); err == nil || !strings.Contains(err.Error(), "RABBITMQ_URL") {
		t.Fatalf("err = %v", err)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	topic := newTopic[*signup](&hub{}, "a", once)
	attrs := readAttrs(topic.attrs, &signup{Org: "acme", Seats: 3})
	if len(attrs) != 2 || attrs["org-id"] != "acme" || attrs["seats"] != "3" {
		t.Fatalf("attrs = %v", attrs)
	}
	if readAttrs(topic.attrs, (*signup)(nil)) != nil {
		t.Fatal("a nil message has attributes")
	}
}
