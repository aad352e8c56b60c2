package orgs

import (
	"bytes"
	"strings"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
)

func TestATokenLeadsToItsHash(t *testing.T) {
	t.Parallel()
	org := rowid.New()
	token, hash := newToken(org)
	gotOrg, gotHash, ok := parseToken(token)
	if !ok || gotOrg != org || !bytes.Equal(gotHash, hash) {
		t.Errorf("got %v %x %v", gotOrg, gotHash, ok)
	}
	if another, _ := newToken(org); another == token {
		t.Error("two tokens are one")
	}
	for name, bad := range map[string]string{
		"empty": "", "only the prefix": tokenPrefix, "no prefix": strings.TrimPrefix(token, tokenPrefix),
		"short": token[:len(token)-2], "long": token + "AA", "not base64": tokenPrefix + strings.Repeat("!", 64),
		"padded": token + "=",
	} {
		if _, _, ok := parseToken(bad); ok {
			t.Errorf("%s was taken", name)
		}
	}
	other := []byte(token)
	other[len(other)-1]++ // another secret, or none
	if _, hash2, ok := parseToken(string(other)); ok && bytes.Equal(hash2, hash) {
		t.Error("another secret has the same hash")
	}
}

func FuzzParseToken(f *testing.F) {
	token, _ := newToken(rowid.New())
	f.Add(token)
	f.Add(tokenPrefix)
	f.Add("tinv_////")
	f.Fuzz(func(t *testing.T, text string) {
		org, hash, ok := parseToken(text)
		if ok && len(hash) != 32 || !ok && hash != nil {
			t.Errorf("%q: %v %x %v", text, org, hash, ok)
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"a@b.test": true, " A@B.test ": true, "first.last+tag@sub.example.test": true,
		"": false, " ": false, "a": false, "@b": false, "a@": false, "X <a@b.test>": false, "<a@b.test>": false,
		"a@b.test, c@d.test": false, "a@b.test\r\nBcc: c@d.test": false, strings.Repeat("a", 250) + "@b.test": false,
	} {
		var c fault.Checks
		checkEmail(&c, "email", address)
		if (c.Err() == nil) != good {
			t.Errorf("%q: %v", address, c.Err())
		}
	}
	if got := normalEmail(" Eve@Globex.TEST "); got != "eve@globex.test" {
		t.Errorf("got %q", got)
	}
}
