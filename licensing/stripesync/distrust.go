package stripesync

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// What Stripe, or whoever answers in its place, says is checked before a licence hangs on it. An
// answer that makes no sense is a failure: the last known licence stays.

const (
	// maxAnswer is more than a full page of subscriptions with all their items takes.
	maxAnswer = 8 << 20
	// maxListed is more than any customer has of anything.
	maxListed = 10_000
)

// errNonsense says that an answer cannot be Stripe's.
var errNonsense = errors.New("the answer makes no sense")

func nonsense(call, what string) error {
	return failedCall(call, fmt.Errorf("%w: %s", errNonsense, what))
}

// listing notices a list that repeats itself or has no end.
type listing struct {
	call string
	most int // 0 is no bound
	seen map[string]bool
}

func (l *listing) take(id string) error {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if id == "" || l.seen[id] || l.most > 0 && len(l.seen) >= l.most {
		return nonsense(l.call, "a list without end")
	}
	l.seen[id] = true
	return nil
}

// whole says whether a list was read to its end. Every page of Stripe's names its list; an empty
// object has as few items, and would end licences.
func (l *listing) whole(it *stripe.Iter) error {
	if err := it.Err(); err != nil {
		return failedCall(l.call, err)
	}
	if it.Meta().URL == "" {
		return nonsense(l.call, "no list")
	}
	return nil
}

// moment reads a time that a licence may end at.
func moment(call string, unix int64) (time.Time, error) {
	t := time.Unix(unix, 0).UTC()
	if unix <= 0 || t.Year() > 9999 {
		return time.Time{}, nonsense(call, "a time out of this world")
	}
	return t, nil
}

// bounded cuts off answers that are larger than any of Stripe's.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: more than %d bytes", errNonsense, maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
