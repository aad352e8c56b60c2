package secret

import (
	"regexp"
	"strings"
	"testing"

	"encore.app/infra/platform/rowid"
)

func TestASecretSaysWhatItIs(t *testing.T) {
	t.Parallel()
	org := rowid.New()
	for _, kind := range []Kind{APIKey, Impersonation} {
		raw := New(kind, org)
		gotKind, gotOrg, err := Parse(raw)
		if err != nil || gotKind != kind || gotOrg != org || !Is(raw) {
			t.Errorf("%s: got %s, %s, %v", kind, gotKind, gotOrg, err)
		}
		if again := New(kind, org); again == raw || Prefix(again) == Prefix(raw) && kind == APIKey {
			t.Errorf("%s: two secrets look the same", kind)
		}
	}
}

// What the package tells scanners to look for is what it makes.
func TestAScannerFindsASecret(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`\btnt_(imp_)?[0-9A-Za-z]{71}\b`)
	for _, kind := range []Kind{APIKey, Impersonation} {
		if raw := New(kind, rowid.New()); pattern.FindString("key="+raw+"\n") != raw {
			t.Errorf("%s is not found", raw[:len(kind)+4])
		}
	}
}

// Every single wrong character is found without a look-up.
func TestATypingErrorIsFound(t *testing.T) {
	t.Parallel()
	raw := New(APIKey, rowid.New())
	for i := len(APIKey); i < len(raw); i++ {
		for _, c := range []byte("0Zz_- \x00") {
			if c == raw[i] {
				continue
			}
			if _, _, err := Parse(raw[:i] + string(c) + raw[i+1:]); err == nil {
				t.Fatalf("character %d changed to %q and nobody noticed", i, c)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	good := New(APIKey, rowid.New())
	f.Add(good)
	f.Add(New(Impersonation, rowid.New()))
	f.Add("tnt_")
	f.Add("tnt_imp_" + strings.Repeat("z", 71))
	f.Fuzz(func(t *testing.T, raw string) {
		kind, org, err := Parse(raw)
		if err == nil && (kind == "" || !strings.Contains(raw, encode(org[:], orgChars)) || len(raw) > 90) {
			t.Errorf("%q passed as %q of %s", raw, kind, org)
		}
	})
}
