package stripesync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripe/stripe-go/v76"
)

func TestBackOffGrowsAndSpreads(t *testing.T) {
	t.Parallel()
	for attempts, most := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 512 * time.Second, 11: lastBackOff, 1000: lastBackOff,
	} {
		seen := map[time.Duration]bool{}
		for range 50 {
			got := backOff(attempts)
			if got < most/2 || got > most+1 {
				t.Errorf("after %d failures: %s, want up to %s", attempts, got, most)
			}
			seen[got] = true
		}
		if len(seen) < 10 {
			t.Errorf("after %d failures everybody comes back at once", attempts)
		}
	}
}

func TestAPaceIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace{every: 10 * time.Millisecond}
		start := time.Now()
		for range 101 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("a hundred turns after the first took %s", took)
		}
		<-time.After(time.Minute) // what was not used is not saved up
		start = time.Now()
		for range 11 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("ten turns after a pause took %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheCustomerIsFoundWhereverAnEventHasIt(t *testing.T) {
	t.Parallel()
	for object, want := range map[string]string{
		`{"id":"sub_1","object":"subscription","customer":"cus_1"}`:           "cus_1",
		`{"id":"in_1","object":"invoice","customer":{"id":"cus_2"}}`:          "cus_2",
		`{"id":"cus_3","object":"customer"}`:                                  "cus_3",
		`{"id":"cus_4","object":"customer","customer":null,"deleted":true}`:   "cus_4",
		`{"id":"prod_1","object":"product"}`:                                  "",
		`{"id":"sub_2","object":"subscription","customer":null}`:              "",
		`{"id":"sub_3","object":"subscription","customer":["a list","of 2"]}`: "",
	} {
		e, err := read(fmt.Appendf(nil, `{"id":"evt_1","type":"t","data":{"object":%s}}`, object))
		if err != nil || e.Customer != want || e.ID != "evt_1" {
			t.Errorf("%s: got %+v, %v", object, e, err)
		}
	}
}

func TestSecretsAreOneOrTwo(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string][]string{"": nil, "a": {"a"}, "a,b": {"a", "b"}, " a, b ": {"a", "b"}, ",": nil} {
		if got := Secrets(setting); !slices.Equal(got, want) {
			t.Errorf("%q: got %q", setting, got)
		}
	}
	if _, err := Verify([]byte("{}"), "t=1,v1=00", nil); !errors.Is(err, ErrForged) {
		t.Errorf("without a secret: %v", err)
	}
}

// What is kept and shown says what happened, and nothing of what was asked.
func TestAFailureIsDescribedWithoutItsWords(t *testing.T) {
	t.Parallel()
	canary := errors.New("canary: sk_live_1 for cus_1")
	for want, err := range map[string]error{
		"stripe answered 401":                  failedCall("x", &stripe.Error{HTTPStatusCode: 401, Msg: "Invalid API Key: canary"}),
		"stripe answered 404 resource_missing": failedCall("x", &stripe.Error{HTTPStatusCode: 404, Code: "resource_missing", Msg: "canary"}),
		"stripe did not answer":                failedCall("x", canary),
		"interrupted":                          failedCall("x", context.Canceled),
		"internal error":                       fmt.Errorf("stripesync: %w", canary),
	} {
		if got := Describe(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
