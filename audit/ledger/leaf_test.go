package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

var salt = bytes.Repeat([]byte{7}, SaltSize)

const sample = `{"id":"e","org_id":"o","ip":"192.0.2.1","changes":{"role":"admin","email":"a@b.test"},"action":"x","resource":{"kind":"k","id":"i"}}`

// with is sample with more members.
func with(t *testing.T, members map[string]any) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(sample), &e); err != nil {
		t.Fatal(err)
	}
	for k, v := range members {
		if e[k] = v; v == nil {
			delete(e, k)
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func leaf(t *testing.T, event []byte) string {
	t.Helper()
	l, err := Leaf(event)
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return string(l)
}

func TestALeafShowsNothingPersonal(t *testing.T) {
	t.Parallel()
	salts := map[string]any{"ip": Commitment{Salt: salt}, "changes.email": Commitment{Salt: salt}}
	got := leaf(t, with(t, map[string]any{"commitments": salts, "seq": 7, "leaf_hash": "x", "proof": []string{}}))
	if strings.Contains(got, "192.0.2.1") || strings.Contains(got, "a@b.test") || strings.Contains(got, "seq") {
		t.Error(got)
	}
	if again, err := Canonical(nil, []byte(got)); err != nil || string(again) != got {
		t.Errorf("the leaf is not canonical: %v\n%s\n%s", err, got, again)
	}
	// The same leaf is made once the values are gone and only their hashes are left.
	hash := func(path, value string) Commitment {
		h, err := Commit(salt, path, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return Commitment{Hash: h}
	}
	erased := leaf(t, with(t, map[string]any{
		"ip": "", "changes": map[string]any{"role": "admin"}, "erased": []string{"ip", "changes.email"},
		"commitments": map[string]any{"ip": hash("ip", `"192.0.2.1"`), "changes.email": hash("changes.email", `"a@b.test"`)},
	}))
	if erased != got {
		t.Errorf("another leaf after erasure\n%s\n%s", got, erased)
	}
}

func TestEveryMemberOfAnEventCounts(t *testing.T) {
	t.Parallel()
	salts := map[string]any{"ip": Commitment{Salt: salt}}
	base := leaf(t, with(t, map[string]any{"commitments": salts}))
	for name, change := range map[string]map[string]any{
		"another value":          {"action": "y"},
		"a value gone":           {"action": nil},
		"a value more":           {"zzz": 1},
		"a personal value":       {"ip": "192.0.2.2"},
		"a change":               {"changes": map[string]any{"role": "owner", "email": "a@b.test"}},
		"another salt":           {"commitments": map[string]any{"ip": Commitment{Salt: bytes.Repeat([]byte{8}, SaltSize)}}},
		"no longer committed to": {"commitments": nil},
	} {
		members := map[string]any{"commitments": salts}
		for k, v := range change {
			members[k] = v
		}
		if got := leaf(t, with(t, members)); got == base {
			t.Errorf("%s makes the same leaf", name)
		}
	}
}

func TestLeavesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]map[string]any{
		"the leaf's own members": {"personal": map[string]any{}},
		"a short salt":           {"commitments": map[string]any{"ip": Commitment{Salt: []byte("x")}}},
		"a short hash":           {"commitments": map[string]any{"ip": Commitment{Hash: []byte("x")}}},
		"nothing to commit to":   {"commitments": map[string]any{"changes.nothing": Commitment{Salt: salt}}},
		"not base64":             {"commitments": map[string]any{"ip": map[string]any{"salt": "!"}}},
		"no object":              {"commitments": "x"},
		"an empty commitment":    {"commitments": map[string]any{"ip": map[string]any{}}},
		"an unknown commitment":  {"commitments": map[string]any{"ip": map[string]any{"key": Commitment{}.Salt}}},
	} {
		if got, err := Leaf(with(t, members)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestAMakerKeepsNothingOfTheLastEvent(t *testing.T) {
	t.Parallel()
	var m Maker
	first, second := with(t, map[string]any{"commitments": map[string]any{"ip": Commitment{Salt: salt}}}), []byte(sample)
	for range 3 {
		for _, event := range [][]byte{first, second} {
			got, err := m.Leaf(event)
			if err != nil || string(got) != leaf(t, event) {
				t.Fatalf("got %s, %v", got, err)
			}
		}
	}
}
