package quota

import (
	"context"
	"errors"
	"testing"

	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

var errFull = errors.New("full")

// full has room for nothing, and says how much it was told of.
type full struct{ metered int64 }

func (f *full) Admit(_ context.Context, _ pgx.Tx, _ uuid.UUID, _ string, count Count) error {
	_, err := count()
	return errors.Join(errFull, err)
}

func (f *full) Meter(_ context.Context, _ pgx.Tx, _ uuid.UUID, _ string, units int64) error {
	f.metered += units
	return nil
}

// Not parallel: there is one keeper.
func TestWhoKeepsDecides(t *testing.T) {
	counted := 0
	ask := func() (admitted, metered error) {
		admitted = Admit(t.Context(), nil, uuid.Nil, Resources, func() (int64, error) { counted++; return 1, nil })
		return admitted, Meter(t.Context(), nil, uuid.Nil, Exports, 3)
	}
	if admitted, metered := ask(); admitted != nil || metered != nil || counted != 0 {
		t.Errorf("where nobody keeps: %v, %v, counted %d times", admitted, metered, counted)
	}
	k := &full{}
	Keep(k)
	t.Cleanup(func() { Keep(nil) })
	if admitted, metered := ask(); !errors.Is(admitted, errFull) || metered != nil || counted != 1 || k.metered != 3 {
		t.Errorf("got %v, %v, counted %d times, metered %d", admitted, metered, counted, k.metered)
	}
}
