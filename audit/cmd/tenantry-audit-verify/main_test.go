package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encore.app/audit/ledger"
)

const org = "00000000-0000-7000-8000-0000000000aa"

// files writes an export of three events, the key that signed it, and a checkpoint of the first two.
func files(t *testing.T) (export, key, earlier string) {
	t.Helper()
	signing, err := ledger.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.ParseKeys(signing, "")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(f *ledger.Frontier) string {
		text, err := keys.Sign(ledger.Checkpoint{Origin: ledger.Origin(org), Size: f.Size(), Root: f.Root()})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	f := new(ledger.Frontier)
	var events []json.RawMessage
	var second string
	for i := range 3 {
		text := fmt.Sprintf(`{"id":"e%d","org_id":"%s","seq":%d,"action":"create"`, i, org, i+1)
		leaf, err := ledger.Leaf([]byte(text + "}"))
		if err != nil {
			t.Fatal(err)
		}
		hash := ledger.Hash(leaf)
		f.Append(hash, nil)
		events = append(events, json.RawMessage(text+`,"leaf_hash":"`+base64.StdEncoding.EncodeToString(hash[:])+`"}`))
		if i == 1 {
			second = sign(f)
		}
	}
	var out bytes.Buffer
	w, err := ledger.NewWriter(&out, "x", ledger.Origin(org), "", ledger.Header{Checkpoint: sign(f), Complete: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := w.Event(ledger.Envelope{ID: "e", Type: "tenantry.project.create", Data: e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	published, err := json.Marshal(map[string]any{"keys": keys.Public()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("export.ndjson", out.Bytes()), write("keys.json", published), write("checkpoint.txt", []byte(second))
}

func TestTheCommandSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	export, key, earlier := files(t)
	text, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	altered := filepath.Join(t.TempDir(), "altered.ndjson")
	if err := os.WriteFile(altered, bytes.Replace(text, []byte(`"create","id":"e1"`), []byte(`"delete","id":"e1"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"honest":                    {[]string{"-key", key, export}, 0, "OK"},
		"continues a checkpoint":    {[]string{"-key", key, "-checkpoint", earlier, export}, 0, "OK"},
		"from standard input":       {[]string{"-key", key}, 0, "OK"},
		"altered":                   {[]string{"-key", key, altered}, exitWrong, "entry 2 (event e1): altered"},
		"no key":                    {[]string{export}, exitUnchecked, ""},
		"a key that is none":        {[]string{"-key", "a+b+c", export}, exitUnchecked, ""},
		"no such file":              {[]string{"-key", key, export + ".missing"}, exitUnchecked, ""},
		"a checkpoint that is none": {[]string{"-key", key, "-checkpoint", key, export}, exitUnchecked, ""},
	} {
		var out, problems bytes.Buffer
		code, _ := run(c.args, bytes.NewReader(text), &out, &problems)
		if code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %d\n%s", name, code, &out)
		}
	}
}

func TestAGeneratedKeySigns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if code, err := run([]string{"-generate-key"}, nil, &out, &out); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	if _, err := ledger.ParseKeys(out.String(), ""); err != nil {
		t.Error(err)
	}
}
