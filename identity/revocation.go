package identity

import (
	"context"
	"fmt"
	"time"

	"encore.app/identity/token"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// What a rule can refuse tokens by.
const (
	bySession = "sid"
	byToken   = "jti"
	bySubject = "sub"
)

// channel carries what was revoked: the id of a user, a key or an impersonation, or a session.
const channel = "identity_revocations"

// rule refuses tokens of an issuer that were issued until now.
type rule struct {
	issuer, kind, value string
	user                uuid.UUID // whose tokens they are, where that is known
}

// ruleKept outlives every token that a rule could refuse: the verifier takes none that lives longer.
const ruleKept = token.MaxLifetime + time.Hour

// revoke makes r hold from now on, and wakes every replica when tx commits. Rules that have nothing
// left to refuse go on the way.
func revoke(ctx context.Context, tx pgx.Tx, r rule) error {
	wake := r.value
	if r.user != uuid.Nil {
		wake = r.user.String()
	}
	var batch pgx.Batch
	batch.Queue(`
delete from identity.revocations where (issuer, kind, value) in (
       select issuer, kind, value from identity.revocations where expires_at < now() limit 100 for update skip locked)`)
	batch.Queue(`
insert into identity.revocations as r (issuer, kind, value, issued_before, expires_at)
values ($1, $2, $3, clock_timestamp(), clock_timestamp() + make_interval(secs => $4))
on conflict (issuer, kind, value) do update
   set issued_before = greatest(r.issued_before, excluded.issued_before), expires_at = greatest(r.expires_at, excluded.expires_at)`,
		r.issuer, r.kind, r.value, ruleKept.Seconds())
	batch.Queue("select pg_notify($1, $2)", channel, wake)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}
