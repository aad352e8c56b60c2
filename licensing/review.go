package licensing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.app/licensing/stripesync"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// dueLicense skips what others hold: one that is held for long keeps no other from its review.
	dueLicense  = "select " + licenseColumns + " from licensing.licenses where review_at <= now() order by review_at limit 1 for update skip locked"
	lockLicense = "select " + licenseColumns + " from licensing.licenses where org_id = $1 and review_at <= now() for update skip locked"
)

// errTaken says that another reviewer, or a change, has the licence by now.
var errTaken = errors.New("licensing: the licence is not due any more")

// review makes the next licence count whose worth may have changed; ok is false if there is none.
func (s store) review(ctx context.Context) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reviewWithin)
	defer cancel()
	due, err := tenantdb.Row(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[license], dueLicense)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	var customer stripesync.Customer
	bought := due.Source == sourceStripe
	if err == nil && bought {
		customer, bought, err = stripesync.CustomerOf(ctx, s.db, due.OrgID)
	}
	if err != nil {
		return false, fmt.Errorf("licensing: review: %w", err)
	}
	err = s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if bought { // it may pay for something less than what lapses; before the licence, as workers lock them
			if err := stripesync.Mark(ctx, tx, customer.ID, stripesync.Request); err != nil {
				return err
			}
		}
		return s.lapse(ctx, tx, due.OrgID)
	})
	if err != nil && !errors.Is(err, errTaken) {
		return false, fmt.Errorf("licensing: review: %w", err)
	}
	return true, nil
}

// lapse makes the organisation's licence worth what it is by now, if its review is still due.
func (s store) lapse(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	rows, err := tx.Query(ctx, lockLicense, org)
	if err != nil {
		return err
	}
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[license])
	if errors.Is(err, pgx.ErrNoRows) {
		return errTaken
	}
	if err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, "update licensing.licenses set review_at = coalesce($2, 'infinity'::timestamptz) where org_id = $1", l.OrgID, s.reviewAt(l)); err != nil {
		return err
	}
	state, _ := s.state(l, s.now())
	if state == stateExpired && (l.Tier != catalogue.Free || len(l.Flags) > 0) {
		what := changes(l, s.worth(l, s.now()), nil)
		if err := record(background(ctx), tx, l, "license:expire", authz.Decision{}, what); err != nil {
			return err
		}
	}
	_, err = s.project(ctx, tx, l)
	return err
}

// reviewWithin bounds one licence's review.
const reviewWithin = 10 * time.Second

// reviewEvery is how late a licence may lapse.
const reviewEvery = time.Second

// reviewer lets licences lapse and reconciliations end. Any number may run at once.
type reviewer struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startReviewer(s store) *reviewer {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reviewer{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.run(ctx, s)
	}()
	return r
}

func (r *reviewer) run(ctx context.Context, s store) {
	ticker := time.NewTicker(reviewEvery)
	defer ticker.Stop()
	failing := false
	for {
		more, err := s.review(ctx)
		if err == nil && !more {
			err = s.conclude(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing: // once an outage, not once a second
			rlog.Warn("licences are not reviewed and will be", "err", err)
		}
		if failing = err != nil; more && !failing {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *reviewer) close() {
	r.cancel()
	<-r.done
}
