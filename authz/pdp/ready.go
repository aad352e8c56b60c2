package pdp

import (
	"context"
	"errors"
	"fmt"

	"encore.app/authz/principal"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
)

const (
	canaryKind   = "canary"
	canaryAction = "probe"
)

// Ready reports whether the decision point answers and is configured as the
// policies rely on: ErrUnavailable, ErrUnmatched (no policies of ours), or
// ErrUnsafe.
func (c *Client) Ready(ctx context.Context) error {
	if _, err := c.Version(ctx); err != nil {
		return err
	}
	asker := principal.System("canary")
	// The canary is allowed to all and denied under a condition that fails:
	// strict evaluation alone makes that a denial.
	d, err := c.Check(ctx, asker, Resource{Kind: canaryKind, Attr: map[string]any{"present": true}}, canaryAction)
	switch {
	case err != nil:
		return err
	case d.Allowed:
		return fmt.Errorf("%w: engine.strictEvaluation is off", ErrUnsafe)
	}
	// Without the attribute that its schema asks for, the canary is reported as
	// invalid only where schemas are looked at.
	d, err = c.Check(ctx, asker, Resource{Kind: canaryKind, Attr: map[string]any{}}, "accept")
	switch {
	case err == nil && d.Allowed:
		return fmt.Errorf("%w: schema.enforcement is off", ErrUnsafe)
	case err == nil:
		return fmt.Errorf("%w: the canary policy is not ours", ErrUnsafe)
	case errors.Is(err, ErrInvalid):
		return nil
	}
	return err
}

// Version is the release of the decision point.
func (c *Client) Version(ctx context.Context) (string, error) {
	res, err := call(ctx, c, "ServerInfo", c.stub.ServerInfo, &requestv1.ServerInfoRequest{})
	return res.GetVersion(), err
}
