package authz

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"encore.app/authz/pdp"
)

func TestTheStartWaitsForThePDPAndForNothingElse(t *testing.T) {
	t.Parallel()
	away := fmt.Errorf("%w: connection refused", pdp.ErrUnavailable)
	answers := func(list ...error) (func(context.Context) error, *int) {
		asked := 0
		return func(context.Context) error {
			err := list[min(asked, len(list)-1)]
			asked++
			return err
		}, &asked
	}
	ready, asked := answers(away, away, nil)
	if err := await(t.Context(), ready); err != nil || *asked != 3 {
		t.Errorf("it starts a little later: %v after %d questions", err, *asked)
	}
	ready, asked = answers(pdp.ErrUnsafe)
	if err := await(t.Context(), ready); !errors.Is(err, pdp.ErrUnsafe) || *asked != 1 {
		t.Errorf("it is not strict: %v after %d questions", err, *asked)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	ready, _ = answers(away)
	if err := await(over, ready); !errors.Is(err, pdp.ErrUnavailable) {
		t.Errorf("it never comes: %v", err)
	}
}
