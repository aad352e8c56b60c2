package token_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"encore.app/identity/token"
)

// FuzzVerify: whatever arrives, only a token that we signed passes, nothing panics,
// and a refusal always has a reason.
func FuzzVerify(f *testing.F) {
	b := setup(f)
	good := b.sign(f, nil)
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(parts[0] + ".e30." + parts[2])
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	f.Add(b.sign(f, map[string]any{"organization": map[string]any{"acme": map[string]any{"id": "1"}}}))
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := b.Verify(context.Background(), raw)
		switch {
		case err == nil:
			if claims.Subject == "" || !strings.HasPrefix(raw, parts[0]+".") {
				t.Errorf("passed: %q", raw)
			}
		case claims != nil:
			t.Error("claims beside an error")
		case !strings.HasPrefix(string(reasonOf(err)), "token_") && !strings.HasPrefix(string(reasonOf(err)), "wrong_") && reasonOf(err) != token.BadSignature:
			t.Errorf("reason %q", reasonOf(err))
		}
	})
}
