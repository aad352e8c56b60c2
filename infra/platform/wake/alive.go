package wake

import (
	"context"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/rlog"
	"github.com/jackc/pgx/v5"
)

// Alive is a listener that knows how long ago it could have missed nothing, for what must not be
// older than that: unlike [Listen] it does not take silence for "nothing happened".
type Alive struct {
	Channel string
	// Quiet is how long silence is taken on trust, and Within how long the database then has to show
	// that it is there.
	Quiet, Within time.Duration
	// Retry is the pause after a connection that broke.
	Retry time.Duration
	// Begin is called each time listening begins: anything may have been missed before.
	Begin func()
	// On is called with every payload.
	On func(payload string)
	// Proven is called with a moment up to which everything was heard, after On.
	Proven func(at time.Time)
}

// Listen runs until ctx ends.
func (a Alive) Listen(ctx context.Context, db *tenantdb.DB) {
	for ctx.Err() == nil {
		if err := a.listen(ctx, db); err != nil && ctx.Err() == nil {
			rlog.Warn("cannot listen", "channel", a.Channel, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(a.Retry):
			}
		}
	}
}

func (a Alive) listen(ctx context.Context, db *tenantdb.DB) error {
	start := time.Now()
	conn, goodbye, err := subscribe(ctx, db, a.Channel)
	if err != nil {
		return err
	}
	defer goodbye()
	a.Begin()
	a.Proven(start)
	for {
		if err := a.next(ctx, conn); err != nil {
			return err
		}
	}
}

// next takes one notification, or has the silence explained.
func (a Alive) next(ctx context.Context, conn *pgx.Conn) error {
	start := time.Now()
	waiting, cancel := context.WithTimeout(ctx, a.Quiet)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	if err == nil {
		a.On(n.Payload)
		a.Proven(start)
		return nil
	}
	if ctx.Err() != nil || waiting.Err() == nil {
		return err
	}
	start = time.Now()
	asking, done := context.WithTimeout(ctx, a.Within)
	defer done()
	if err := conn.Ping(asking); err != nil {
		return err
	}
	a.Proven(start)
	return nil
}
