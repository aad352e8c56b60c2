package page

import (
	"testing"

	"encore.app/infra/platform/fault"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

func TestACursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	type key struct{ A, B string }
	want := key{"x", "ü/+"}
	var got key
	var c fault.Checks
	if Parse(&c, Cursor(want), &got); got != want || c.Err() != nil {
		t.Errorf("got %+v, %v", got, c.Err())
	}
	if Parse(&c, "", &got); got != want {
		t.Error("no cursor changed the key")
	}
	for _, bad := range []string{"!", "bm90IGpzb24", Cursor(7)} {
		c = nil
		if Parse(&c, bad, &got); c.Err() == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add(Cursor("x"))
	f.Fuzz(func(_ *testing.T, cursor string) {
		var id uuid.UUID
		var c fault.Checks
		Parse(&c, cursor, &id) // must not panic
	})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	if _, got, err := ByID("", option.None[int]()); got != DefaultLimit || err != nil {
		t.Errorf("none: got %d, %v", got, err)
	}
	for _, asked := range []int{1, MaxLimit} {
		if _, got, err := ByID("", option.Some(asked)); got != asked || err != nil {
			t.Errorf("%d: got %d, %v", asked, got, err)
		}
	}
	for _, asked := range []int{-1, 0, MaxLimit + 1} {
		if _, _, err := ByID("", option.Some(asked)); err == nil {
			t.Errorf("%d was taken", asked)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	key := func(n int) any { return n }
	if items, next := Cut([]int{1, 2}, 2, key); len(items) != 2 || next != "" {
		t.Errorf("the last page: %v %q", items, next)
	}
	items, next := Cut([]int{1, 2, 3}, 2, key)
	var last int
	Parse(new(fault.Checks), next, &last)
	if len(items) != 2 || last != 2 {
		t.Errorf("a page before the last: %v, next after %d", items, last)
	}
}
