//go:build stockhost

package option

import (
	"encoding/json"
	"testing"
	"time"
)

func TestOption(t *testing.T) {
	t.Parallel()
	one, none := Some(1), None[int]()
	seven := func() int { return 7 }
	for name, ok := range map[string]bool{
		"some":            one.IsSome() && !one.IsNone() && !one.IsZero() && one.MustGet() == 1,
		"none":            !none.IsSome() && none.IsNone() && none.IsZero() && none.PtrOrNil() == nil,
		"some of zero":    Some(0).IsSome(),
		"else":            one.GetOrElse(7) == 1 && none.GetOrElse(7) == 7 && one.GetOrElseF(seven) == 1 && none.GetOrElseF(seven) == 7,
		"or else":         one.OrElse(7) == one && none.OrElse(7) == Some(7),
		"equal":           Equal(one, Some(1)) && Equal(none, None[int]()) && !Equal(one, none) && !Equal(Some(0), none),
		"contains":        Contains(one, 1) && !Contains(one, 2) && !Contains(none, 0) && one.Contains(func(v int) bool { return v == 1 }),
		"map":             Map(one, func(v int) string { return "x" }) == Some("x") && Map(none, func(int) string { return "x" }).IsNone(),
		"from pointer":    FromPointer(new(int)) == Some(0) && FromPointer[int](nil).IsNone(),
		"from comparable": FromComparable(0).IsNone() && FromComparable(1) == one && FromComparable(time.Time{}.UTC()).IsNone(),
		"text":            one.String() == "1" && none.String() == "None" && one.GoString() == "option.Some(1)" && none.GoString() == "option.None[int]()",
		"pointer":         *one.PtrOrNil() == 1,
	} {
		if !ok {
			t.Error(name)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustGet of none must panic")
		}
	}()
	none.MustGet()
}

func TestJSON(t *testing.T) {
	t.Parallel()
	type box struct {
		A Option[int]    `json:"a"`
		B Option[string] `json:"b,omitzero"`
	}
	for text, want := range map[string]box{
		`{"a":null}`:        {},
		`{"a":0,"b":""}`:    {A: Some(0), B: Some("")},
		`{"a":null,"b":""}`: {B: Some("")},
	} {
		var got box
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
		if back, err := json.Marshal(want); err != nil || string(back) != text {
			t.Errorf("%+v: %s %v", want, back, err)
		}
	}
	var got box
	if json.Unmarshal([]byte(`{"a":"x"}`), &got) == nil {
		t.Error("a wrong type must be refused")
	}
}
