package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const org = "00000000-0000-7000-8000-0000000000aa"

// sampleLog is a log in memory that can be exported, whole or tampered with.
type sampleLog struct {
	t      testing.TB
	keys   *Keys
	events []map[string]any // as an export has them
	stored *kept            // as it was when it was signed
	roots  []Frontier
	signed string
}

func newSampleLog(t testing.TB, size int) *sampleLog {
	t.Helper()
	signing, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(signing, "")
	if err != nil {
		t.Fatal(err)
	}
	l := &sampleLog{t: t, keys: keys}
	for i := range size {
		l.events = append(l.events, map[string]any{
			"id": fmt.Sprintf("event-%d", i+1), "org_id": org, "seq": i + 1,
			"occurred_at": "2026-01-02T03:04:05.678901Z", "actor": map[string]any{"id": "u", "type": "user"},
			"action": "update", "resource": map[string]any{"kind": "project", "id": "p"}, "outcome": "succeeded",
			"ip": "192.0.2.1", "changes": map[string]any{"title": i}, "commitments": map[string]any{"ip": Commitment{Salt: salt}},
		})
		l.rehash(i)
	}
	l.sign()
	return l
}

// rehash makes the leaf_hash of an event agree with its content, as a forger would.
func (l *sampleLog) rehash(i int) {
	l.t.Helper()
	text, err := json.Marshal(l.events[i])
	if err != nil {
		l.t.Fatal(err)
	}
	leaf, err := Leaf(text)
	if err != nil {
		l.t.Fatal(err)
	}
	h := Hash(leaf)
	l.events[i]["leaf_hash"] = base64.StdEncoding.EncodeToString(h[:])
}

// sign keeps the tree over the events as they are and signs it.
func (l *sampleLog) sign() {
	l.stored, l.roots = new(kept), nil
	f := new(Frontier)
	for _, e := range l.events {
		h, err := hashOf([]byte(`"` + e["leaf_hash"].(string) + `"`))
		if err != nil {
			l.t.Fatal(err)
		}
		l.stored[0] = append(l.stored[0], h)
		f.Append(h, func(n Node) { l.stored[n.Level] = append(l.stored[n.Level], n.Hash) })
		l.roots = append(l.roots, Frontier{size: f.size, roots: slices.Clone(f.roots)})
	}
	l.signed = l.checkpoint(len(l.events))
}

func (l *sampleLog) checkpoint(size int) string {
	l.t.Helper()
	signed, err := l.keys.Sign(l.at(size))
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

func (l *sampleLog) at(size int) Checkpoint {
	return Checkpoint{Origin: Origin(org), Size: int64(size), Root: l.roots[size-1].Root()}
}

// export writes the events as they are now, with the blocks and proofs of when they were signed.
func (l *sampleLog) export(proofs bool) []byte {
	l.t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, "x", Origin(org), "", Header{Checkpoint: l.signed, Complete: true, Proofs: proofs})
	if err != nil {
		l.t.Fatal(err)
	}
	tree := Tree{Size: int64(len(l.stored[0])), Read: l.stored.read}
	for i, e := range l.events {
		if proofs && i < len(l.stored[0]) {
			proof, err := tree.Inclusion(int64(e["seq"].(int) - 1))
			if err != nil {
				l.t.Fatal(err)
			}
			e["proof"] = EncodeProof(proof)
		}
		if e["pruned"] == true {
			err = w.Pruned(Pruned{ID: e["id"].(string), OrgID: org, Seq: int64(e["seq"].(int)), LeafHash: e["leaf_hash"].(string)})
		} else {
			text, merr := json.Marshal(e)
			if merr != nil {
				l.t.Fatal(merr)
			}
			err = w.Event(Envelope{ID: e["id"].(string), Type: "tenantry.project.update", Data: text})
		}
		if err != nil {
			l.t.Fatal(err)
		}
		if seq := e["seq"].(int); seq%BlockSize == 0 && seq/BlockSize <= len(l.stored[1]) {
			n := seq / BlockSize
			if err := w.Block(int64(n-1), l.stored[1][n-1]); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	return out.Bytes()
}

func (l *sampleLog) verify(file []byte, earlier *Checkpoint) (*Report, error) {
	l.t.Helper()
	keys, err := Verifiers(l.keys.Public()[0].VKey)
	if err != nil {
		l.t.Fatal(err)
	}
	return Verify(bytes.NewReader(file), Options{Keys: keys, Earlier: earlier})
}

func renumber(events []map[string]any) []map[string]any {
	for i := range events {
		events[i]["seq"] = i + 1
	}
	return events
}

func TestAnHonestExportHolds(t *testing.T) {
	t.Parallel()
	l := newSampleLog(t, 600)
	earlier := l.at(300)
	for _, proofs := range []bool{false, true} {
		r, err := l.verify(l.export(proofs), &earlier)
		if err != nil || !r.OK() || r.Entries != 600 || !r.Complete {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// Whoever tampers here can write the whole file, but not sign.
func TestTamperingIsFoundAndSaidWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(*sampleLog)
		want   []string // each must be in some finding
	}{
		"altered": {func(l *sampleLog) { l.events[399]["action"] = "read" },
			[]string{"entry 400 (event event-400): altered"}},
		"altered personal value": {func(l *sampleLog) { l.events[399]["ip"] = "192.0.2.9" },
			[]string{"entry 400 (event event-400): altered"}},
		"altered with its hash": {func(l *sampleLog) { l.events[399]["action"] = "read"; l.rehash(399) },
			[]string{"entries 257 to 512", "entry 400 (event event-400): not in the signed tree"}},
		"altered at the end with its hash": {func(l *sampleLog) { l.events[599]["action"] = "read"; l.rehash(599) },
			[]string{"do not make the signed tree", "entry 600 (event event-600): not in the signed tree"}},
		"removed": {func(l *sampleLog) { l.events = slices.Delete(l.events, 399, 400) },
			[]string{"entry 400: removed"}},
		"removed and renumbered": {func(l *sampleLog) { l.events = renumber(slices.Delete(l.events, 399, 400)) },
			[]string{"entries 257 to 512", "entry 600: removed", "entry 400 (event event-401): not in the signed tree"}},
		"many removed": {func(l *sampleLog) { l.events = slices.Delete(l.events, 10, 20) },
			[]string{"entry 11: removed, and all up to 20"}},
		"removed, and another altered with its hash": {func(l *sampleLog) {
			l.events[399]["action"] = "read"
			l.rehash(399)
			l.events = slices.Delete(l.events, 9, 10)
		}, []string{"entry 10: removed", "entries 257 to 512"}},
		"cut off at the end": {func(l *sampleLog) { l.events = l.events[:590] },
			[]string{"entry 591: removed, and all up to 600"}},
		"swapped": {func(l *sampleLog) { l.events[9], l.events[19] = l.events[19], l.events[9] },
			[]string{"entry 10 (event event-10): out of order", "entry 10: removed, and all up to 19"}},
		"swapped and renumbered": {func(l *sampleLog) {
			l.events[9], l.events[19] = l.events[19], l.events[9]
			renumber(l.events)
		}, []string{"entries 1 to 256", "entry 10 (event event-20): not in the signed tree"}},
		"contents swapped": {func(l *sampleLog) {
			a, b := l.events[9], l.events[19]
			a["changes"], b["changes"] = b["changes"], a["changes"]
		}, []string{"entry 10 (event event-10): altered", "entry 20 (event event-20): altered"}},
		"repeated": {func(l *sampleLog) { l.events = slices.Insert(l.events, 10, l.events[9]) },
			[]string{"entry 10 (event event-10): out of order or twice"}},
		"inserted": {func(l *sampleLog) {
			forged := map[string]any{"id": "forged", "org_id": org, "seq": 11, "action": "update"}
			l.events = renumber(slices.Insert(l.events, 10, forged))
			l.rehash(10)
		}, []string{"entries 1 to 256", "entry 11 (event forged): not in the signed tree", "entry 601 (event event-600): inserted"}},
		"appended": {func(l *sampleLog) {
			l.events = append(l.events, map[string]any{"id": "forged", "org_id": org, "seq": 601, "action": "update"})
			l.rehash(600)
		}, []string{"entry 601 (event forged): inserted"}},
		"of another organisation": {func(l *sampleLog) { l.events[9]["org_id"] = "other"; l.rehash(9) },
			[]string{"entry 10 (event event-10): it is of another log"}},
		"payload removed": {func(l *sampleLog) { l.events[399]["pruned"] = true },
			[]string{"entry 400 (event event-400): its payload was removed, and not by retention"}},
		"payloads removed from the start": {func(l *sampleLog) {
			for _, e := range l.events[:10] {
				e["pruned"] = true
			}
		}, []string{"entry 10: the payloads up to here were removed, and not by retention"}},
		"all payloads removed": {func(l *sampleLog) {
			for _, e := range l.events {
				e["pruned"] = true
			}
		}, []string{"entry 600: the payloads up to here were removed, and not by retention"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, proofs := range []bool{false, true} {
				l := newSampleLog(t, 600)
				c.tamper(l)
				r, err := l.verify(l.export(proofs), nil)
				if err != nil {
					t.Fatal(err)
				}
				if r.OK() {
					t.Errorf("with proofs %v nothing was found", proofs)
				}
				for _, f := range r.Findings {
					found = append(found, f.String())
				}
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, want) }) {
					t.Errorf("nobody said %q\n%s", want, strings.Join(found, "\n"))
				}
			}
		})
	}
}

// What is no entry does not pass for the one before it, and an entry does not hide in what is none.
func TestAnEntryIsALineOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]func(event string) string{
		"hidden in a block": func(event string) string {
			return `{"a":"` + strings.Repeat("x", 64) + `","data":` + event + `,"type":"` + TypeBlock + `"}` + "\n" + `{"b":1}` + "\n"
		},
		"hidden in a block, pruned after it": func(event string) string {
			return `{"a":"` + strings.Repeat("x", 64) + `","data":` + event + `,"type":"` + TypeBlock + `"}` + "\n" + `{"type":"` + TypePruned + `"}` + "\n"
		},
		"without data":        func(string) string { return `{"type":"tenantry.project.update"}` + "\n" },
		"data that is a list": func(event string) string { return `{"data":[` + event + `],"type":"tenantry.project.update"}` + "\n" },
		"data within the data": func(event string) string {
			return `{"data":{"data":` + event + `},"type":"tenantry.project.update"}` + "\n"
		},
		"a list": func(event string) string { return `[{"data":` + event + `}]` + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newSampleLog(t, 300)
			for _, proofs := range []bool{false, true} {
				lines := bytes.SplitAfter(l.export(proofs), []byte("\n"))
				lines = lines[:len(lines)-1]
				var line struct{ Data json.RawMessage }
				if err := json.Unmarshal(lines[10], &line); err != nil {
					t.Fatal(err)
				}
				before := sha256.Sum256(bytes.Join(lines[:len(lines)-1], nil))
				lines[10] = []byte(shape(string(line.Data)))
				after := sha256.Sum256(bytes.Join(lines[:len(lines)-1], nil))
				file := bytes.Replace(bytes.Join(lines, nil), []byte(hex.EncodeToString(before[:])), []byte(hex.EncodeToString(after[:])), 1)
				if r, err := l.verify(file, nil); err != nil || r.OK() {
					t.Errorf("with proofs %v: %+v, %v", proofs, r, err)
				}
			}
		})
	}
}

// A log that was rewritten and signed again is found out by whoever kept an earlier checkpoint.
func TestARewrittenLogContradictsAnEarlierCheckpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rewrite func(*sampleLog)
		want    string
	}{
		"altered": {func(l *sampleLog) { l.events[9]["action"] = "read"; l.rehash(9) }, "the log was rewritten"},
		"removed": {func(l *sampleLog) { l.events = renumber(slices.Delete(l.events, 9, 10)) }, "the log was rewritten"},
		"rolled back": {func(l *sampleLog) { l.events = l.events[:400] },
			"the log was rolled back: it had 500 entries once and has 400"},
		"rolled back and refilled": {func(l *sampleLog) {
			l.events = renumber(append(l.events[:400:400], l.events[450:]...))
		}, "the log was rewritten"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newSampleLog(t, 600)
			earlier := l.at(500)
			c.rewrite(l)
			l.sign()
			r, err := l.verify(l.export(false), &earlier)
			if err != nil {
				t.Fatal(err)
			}
			if r.OK() || !strings.Contains(r.Findings[0].String(), c.want) {
				t.Errorf("got %v", r.Findings)
			}
		})
	}
}

func TestRetentionAccountsForWhatItRemoves(t *testing.T) {
	t.Parallel()
	l := newSampleLog(t, 600)
	l.events[580]["action"], l.events[580]["actor"] = RetentionAction, map[string]any{"id": RetentionActor, "type": "system"}
	l.events[580]["resource"], l.events[580]["changes"] = map[string]any{"kind": RetentionKind, "id": ""}, map[string]any{ThroughSeq: 100}
	l.rehash(580)
	l.sign()
	for _, e := range l.events[:100] {
		e["pruned"] = true
	}
	if r, err := l.verify(l.export(true), nil); err != nil || !r.OK() || r.Pruned != 100 {
		t.Errorf("%+v, %v", r, err)
	}
	l.events[100]["pruned"] = true
	if r, err := l.verify(l.export(true), nil); err != nil || r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFilesThatCannotBeChecked(t *testing.T) {
	t.Parallel()
	l := newSampleLog(t, 3)
	whole := l.export(false)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	stranger := newSampleLog(t, 3)
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"empty":               {nil, ErrNotExport},
		"not NDJSON":          {[]byte("hello\n"), ErrNotExport},
		"cut off":             {bytes.Join(lines[:3], nil), ErrNotExport},
		"without a header":    {bytes.Join(lines[1:], nil), ErrNotExport},
		"two in one":          {append(bytes.Clone(whole), whole...), ErrNotExport},
		"a stranger's":        {stranger.export(false), ErrCheckpoint},
		"forged checkpoint":   {bytes.Replace(whole, []byte(`\n3\n`), []byte(`\n2\n`), 1), ErrCheckpoint},
		"rules of the future": {bytes.Replace(whole, []byte(Format), []byte("tenantry-audit-9"), 1), ErrNotExport},
	} {
		if r, err := l.verify(c.file, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
