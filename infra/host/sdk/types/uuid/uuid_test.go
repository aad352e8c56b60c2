//go:build stockhost

package uuid

import (
	"encoding/json"
	"fmt"
	"testing"
)

const canonical = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

func TestFromString(t *testing.T) {
	t.Parallel()
	const bare = "6ba7b8109dad11d180b400c04fd430c8"
	for in, ok := range map[string]bool{
		canonical: true, bare: true, "{" + canonical + "}": true, "{" + bare + "}": true,
		"urn:uuid:" + canonical: true, "urn:uuid:" + bare: true, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8": true,
		"": false, "x": false, canonical + "0": false, "{" + canonical: false, "(" + canonical + ")": false,
		"6ba7b810-9dad-11d1-80b4-00c04fd430cg": false, "6ba7b8109-dad-11d1-80b4-00c04fd430c8": false,
	} {
		u, err := FromString(in)
		if (err == nil) != ok || (ok && u.String() != canonical) {
			t.Errorf("%q: %v %v", in, u, err)
		}
		if !ok && FromStringOrNil(in) != Nil {
			t.Errorf("%q: not Nil", in)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	u := Must(FromString(canonical))
	data, err := json.Marshal(map[string]any{"u": u, "n": NullUUID{}, "v": NullUUID{UUID: u, Valid: true}})
	if err != nil || string(data) != `{"n":null,"u":"`+canonical+`","v":"`+canonical+`"}` {
		t.Fatalf("%s %v", data, err)
	}
	var back struct {
		U    UUID
		N, V NullUUID
	}
	if err := json.Unmarshal(data, &back); err != nil || back.U != u || back.N.Valid || back.V.UUID != u {
		t.Fatalf("%+v %v", back, err)
	}
	for _, src := range []any{canonical, []byte(canonical), u.Bytes(), u} {
		var got UUID
		if err := got.Scan(src); err != nil || got != u {
			t.Errorf("Scan(%T): %v %v", src, got, err)
		}
	}
	if new(UUID).Scan(7) == nil || new(UUID).Scan(nil) == nil {
		t.Error("Scan takes what is not a UUID")
	}
	var null NullUUID
	if err := null.Scan(nil); err != nil || null.Valid {
		t.Error("NULL must scan")
	}
	if v, _ := u.Value(); v != canonical {
		t.Errorf("Value %v", v)
	}
}

func TestNewAndFormat(t *testing.T) {
	t.Parallel()
	a, b := Must(NewV4()), Must(NewV4())
	if a == b || a.Version() != V4 {
		t.Errorf("NewV4: %v %v", a, b)
	}
	ns := Must(FromString(canonical))
	if got := NewV5(ns, "www.example.com").String(); got != "2ed6657d-e927-568b-95e1-2665a8aea6a2" {
		t.Errorf("NewV5: %s", got)
	}
	if got := NewV3(ns, "x"); got.Version() != V3 {
		t.Errorf("NewV3: %s", got)
	}
	for verb, want := range map[string]string{
		"%s": canonical, "%v": canonical, "%q": `"` + canonical + `"`, "%x": "6ba7b8109dad11d180b400c04fd430c8",
		"%X": "6BA7B8109DAD11D180B400C04FD430C8", "%d": "%!d(uuid.UUID=" + canonical + ")",
	} {
		if got := fmt.Sprintf(verb, ns); got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
	}
}
