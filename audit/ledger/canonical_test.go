package ledger

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// The samples are those of RFC 8785 (sections 3.2.2 to 3.2.4 and appendix B).
func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
		  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`: `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`: "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		` [ 0, -0, -1, 1.0, 123456789012345, 9007199254740992, 1e21, 1e-7, 0.000001, 5e-324 ] `:                                                                                                                      `[0,0,-1,1,123456789012345,9007199254740992,1e+21,1e-7,0.000001,5e-324]`,
		`{"b":{"d":1,"c":[{}]},"a":[]}`: `{"a":[],"b":{"c":[{}],"d":1}}`,
		`"\u003c"`:                      `"<"`,
		`{"\"":1,"!":2,"#":3}`:          `{"!":2,"\"":1,"#":3}`,
	} {
		got, err := Canonical(nil, []byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", in, got, err, want)
		}
	}
}

func TestWhatHasNoCanonicalForm(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, ` `, `{`, `[1,]`, `{"a":1,}`, `{"a"}`, `{"a":1,"a":2}`, `{"b":1,"a":2,"b":3}`, `{"a":1,"\u0061":2}`, `01`, `1.`, `.5`, `1e`, `-`, `+1`, `nul`,
		`"\ud800"`, `"\ud800\u0041"`, `"\x"`, `"\u12"`, "\"\xff\"", "\"\n\"", `1 2`, `9007199254740993`, `1e400`, `"open`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		if got, err := Canonical(nil, []byte(in)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}

// Whatever encoding/json accepts and Canonical does too has the same meaning afterwards, and one form.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"b":1,"a":[1.5e3,"é\n",null]}`, `"\ud83d\ude00"`, `[1e-7,-0.0,{"":{}}]`, `{"a\\":1,"a\"":2}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		once, err := Canonical(nil, []byte(in))
		if err != nil {
			return
		}
		var before, after any
		if err := json.Unmarshal([]byte(in), &before); err != nil {
			t.Fatalf("not JSON to others: %q: %v", in, err)
		}
		if err := json.Unmarshal(once, &after); err != nil {
			t.Fatalf("%q became %q: %v", in, once, err)
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q", in, once)
		}
		if twice, err := Canonical(nil, once); err != nil || string(twice) != string(once) {
			t.Errorf("%q is not stable: %q, %v", once, twice, err)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	f.Add(uint64(0x3ff0000000000000))
	f.Fuzz(func(t *testing.T, bits uint64) {
		n := math.Float64frombits(bits)
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return
		}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Canonical(nil, appendNumber(nil, n))
		if err != nil {
			t.Fatal(err)
		}
		if string(text) == "-0" {
			text = []byte("0")
		}
		if string(got) != string(text) { // Go's encoder follows ECMAScript, too
			t.Errorf("%v is %s, want %s", n, got, text)
		}
	})
}

// The outline says where the members are, in whatever order they came.
func TestAnOutlineSaysWhereMembersLie(t *testing.T) {
	t.Parallel()
	var c canonicalizer
	for _, in := range []string{
		`{"a":1,"d":{"x":[{"n":0}],"y":"z"},"e":"f"}`,
		` {"e":"f", "d":{"y":"z","x":[{"n":0}]}, "a":1}`,
	} {
		text, err := c.outline(nil, []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		show := func(ms []member) (out string) {
			for _, m := range ms {
				p := m.of(text)
				out += string(p.name) + "=" + string(p.value) + " "
			}
			return out
		}
		if got := show(c.outer); got != `a=1 d={"x":[{"n":0}],"y":"z"} e="f" ` {
			t.Errorf("%s: outer: %s", in, got)
		}
		if got := show(c.inner); got != `x=[{"n":0}] y="z" ` {
			t.Errorf("%s: inner: %s", in, got)
		}
	}
}
