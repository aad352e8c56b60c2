// Package wake turns Postgres notifications into calls, so that background work starts at once and
// its poll can be slow. A notification may be lost with its connection: whoever listens polls too.
package wake

import (
	"context"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/rlog"
	"github.com/jackc/pgx/v5"
)

// retryAfter is the pause after a connection that broke.
const retryAfter = 5 * time.Second

// Listen calls on with the payload of every notification on channel, until ctx ends. It also calls
// on with "" each time it begins to listen, because something may have been missed before.
func Listen(ctx context.Context, db *tenantdb.DB, channel string, on func(payload string)) {
	for ctx.Err() == nil {
		if err := listen(ctx, db, channel, on); err != nil && ctx.Err() == nil {
			rlog.Warn("cannot listen, polling", "channel", channel, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		}
	}
}

func listen(ctx context.Context, db *tenantdb.DB, channel string, on func(payload string)) error {
	conn, goodbye, err := subscribe(ctx, db, channel)
	if err != nil {
		return err
	}
	defer goodbye()
	on("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		on(n.Payload)
	}
}

// subscribe is a connection of the caller's own that listens, until goodbye.
func subscribe(ctx context.Context, db *tenantdb.DB, channel string) (conn *pgx.Conn, goodbye func(), err error) {
	pooled, err := db.Pool().Acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	// The connection leaves the pool: a session that listens must not be handed to anyone else.
	conn = pooled.Hijack()
	goodbye = func() { // that of a server that hangs must not hold up the shutdown
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(ctx)
	}
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		goodbye()
		return nil, nil, err
	}
	return conn, goodbye, nil
}

// Signal is an on that keeps at most one wake-up waiting.
func Signal(wake chan<- struct{}) func(string) {
	return func(string) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
