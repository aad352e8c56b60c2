// Package authz decides who may do what. The policies in policies/ are data that a Cerbos PDP
// evaluates; this package asks it, one principal and one or many resources at a time, and turns the
// answer into an error that the caller can be sent.
//
// It knows nothing of users or organisations beyond the principal that it is handed. Whatever cannot
// be decided is refused: a PDP that is away is 503, a malformed question is 500, never an answer.
package authz

import (
	"context"
	"fmt"
	"time"

	"encore.app/authz/pdp"
)

var secrets struct {
	// CERBOS_ADDR is the PDP: host:port, or unix: and a path.
	CERBOS_ADDR string
}

// Service answers questions about the policies themselves.
//
//encore:service
type Service struct {
	pdp *pdp.Client
}

// readyWithin bounds how long the start waits for the PDP.
const readyWithin = 15 * time.Second

// initService refuses to start against a PDP that is away, or that is not strict: a lenient one skips
// a guardrail whose condition fails, and so lets through what it should stop.
func initService() (*Service, error) {
	c, err := client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		return nil, fmt.Errorf("authz: CERBOS_ADDR: %w", err)
	}
	return &Service{pdp: c}, nil
}
