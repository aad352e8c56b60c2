// Package authz decides who may do what. The policies in policies/ are data that a Cerbos PDP
// evaluates; this package asks it, one principal and one or many resources at a time, and turns the
// answer into an error that the caller can be sent.
//
// It knows nothing of users or organisations beyond the principal that it is handed. Whatever cannot
// be decided is refused: a PDP that is away is 503, a malformed question is 500, never an answer.
//
// Decisions are remembered for seconds, in memory and in Redis. A key holds everything the PDP saw,
// the digest of the policies it serves, and the counters of authz/epoch: those of the organisation
// and user acting come with the membership that every request reads, so a change there counts for
// the next request on any replica; every other one is heard of within [epoch.Bound], or nothing is
// taken from a cache at all.
package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/authz/pdp"
	"encore.dev/shutdown"
)

var secrets struct {
	// CERBOS_ADDR is the PDP: host:port, or unix: and a path.
	CERBOS_ADDR string
	// CERBOS_CA is set for a PDP that is reached over TLS: the certificates to trust, as PEM or the
	// path of a file. CERBOS_CERT and CERBOS_KEY are what the app shows in turn, where it has to.
	CERBOS_CA   string //host:optional
	CERBOS_CERT string //host:optional
	CERBOS_KEY  string //host:optional
	// CERBOS_METRICS_URL is the PDP's own metrics (http://host:3592/_cerbos/metrics). They alone tell of
	// policies that were changed without a new release, or that do not load.
	CERBOS_METRICS_URL string //host:optional
}

// Service answers questions about the policies themselves.
//
//encore:service
type Service struct{ with *deciding }

// readyWithin bounds how long the start waits for the PDP.
const readyWithin = 15 * time.Second

// initService refuses to start against a PDP that is away, or that is not strict: a lenient one skips
// a guardrail whose condition fails, and so lets through what it should stop.
func initService() (*Service, error) {
	d, err := process()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if err := await(ctx, d.client.Ready); err != nil {
		return nil, fmt.Errorf("authz: CERBOS_ADDR: %w", err)
	}
	return &Service{with: d}, nil
}

// askEvery is the pause between two questions whether the PDP is there.
const askEvery = 100 * time.Millisecond

// await asks until the PDP answers: at a start, a request's deadline says nothing about one that is
// starting as well.
func await(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if !errors.Is(err, pdp.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // err says more than that
			return err
		}
	}
}

// Shutdown ends the watching of policies and epochs.
func (s *Service) Shutdown(shutdown.Progress) error { return s.with.close() }
