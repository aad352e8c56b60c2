package ledger

import (
	"errors"
	"strings"
	"testing"
)

func generate(t *testing.T) string {
	t.Helper()
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, k *Keys, c Checkpoint) string {
	t.Helper()
	signed, err := k.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func parse(t *testing.T, signing, retired string) *Keys {
	t.Helper()
	k, err := ParseKeys(signing, retired)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestACheckpointOutlivesItsKey(t *testing.T) {
	t.Parallel()
	before, after := generate(t), generate(t)
	old := parse(t, before, "")
	c := Checkpoint{Origin: Origin("o"), Size: 3, Root: leafHash(1)}
	signed := sign(t, old, c)

	both := parse(t, after+"\n"+before, "")
	now := parse(t, after, old.Public()[0].VKey)
	for name, k := range map[string]*Keys{"before": old, "both sign": both, "retired": now} {
		var known []string
		for _, p := range k.Public() {
			known = append(known, p.VKey)
		}
		v, err := Verifiers(known...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenCheckpoint(signed, v); err != nil || got != c {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if s := now.Public()[1].Status; s != "retired" {
		t.Error(s)
	}
	// While both sign, holders of either key can verify.
	onlyOld, err := Verifiers(old.Public()[0].VKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(sign(t, both, c), onlyOld); err != nil {
		t.Error(err)
	}
	if _, err := OpenCheckpoint(sign(t, now, c), onlyOld); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a stranger's signature: %v", err)
	}
}

func TestForgedCheckpoints(t *testing.T) {
	t.Parallel()
	k := parse(t, generate(t), "")
	v, err := Verifiers(k.Public()[0].VKey)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, k, Checkpoint{Origin: Origin("o"), Size: 3, Root: leafHash(1)})
	for name, bad := range map[string]string{
		"another size":   strings.Replace(good, "\n3\n", "\n4\n", 1),
		"another origin": strings.Replace(good, "/o\n", "/p\n", 1),
		"unsigned":       good[:strings.Index(good, "\n\n")+2],
		"nothing":        "",
	} {
		if c, err := OpenCheckpoint(bad, v); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	good := generate(t)
	for name, list := range map[string][2]string{
		"none":        {"", ""},
		"garbage":     {"secret-garbage", ""},
		"cut short":   {good[:len(good)-4], ""},
		"bad retired": {good, "garbage"},
	} {
		if _, err := ParseKeys(list[0], list[1]); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
