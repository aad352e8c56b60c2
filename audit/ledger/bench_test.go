package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const million = 1 << 20

// BenchmarkProof verifies inclusion in a log of a million entries; the ceiling is 1 ms.
func BenchmarkProof(b *testing.B) {
	k, _, roots := grown(million)
	tree := Tree{Size: million, Read: k.read}
	proof, err := tree.Inclusion(million / 3)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			if _, err := tree.Inclusion(million / 3); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := tlog.CheckRecord(proof, million, roots[million], million/3, leafHash(million/3)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// stopwatch measures processor time, garbage collection included: the figure of a machine that does
// nothing else.
func stopwatch(b *testing.B) func() float64 {
	used := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	start := used()
	return func() float64 { return used() - start }
}

// benchEvent is an event of the usual size, as an export has it.
func benchEvent(i int) []byte {
	return fmt.Appendf(nil, `{"id":"0198c2f4-7a3e-7c11-8000-%012d","org_id":"%s","occurred_at":"2026-01-02T03:04:05.678901Z",`+
		`"actor":{"id":"0198c2f4-7a3e-7c11-8000-0000000000aa","type":"user"},"action":"update",`+
		`"resource":{"kind":"project","id":"0198c2f4-7a3e-7c11-8000-0000000000bb"},"outcome":"succeeded",`+
		`"request_id":"4bf92f3577b34da6a3ce929d0e0e4736","decision_id":"01M85CQ2RZD54NBJN63W68ZBXK","policy_version":"default",`+
		`"ip":"192.0.2.1","changes":{"sensitivity":"internal","pii":false},"seq":%d,"leaf_hash":"",`+
		`"commitments":{"ip":{"salt":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}}}`, i, org, i)
}

// BenchmarkLeaves rebuilds a log of a million entries from their leaves: hash each, grow the tree,
// compare the root. The floor is 300 000 a second and core.
func BenchmarkLeaves(b *testing.B) {
	leaf, err := Leaf(benchEvent(1))
	if err != nil {
		b.Fatal(err)
	}
	cpu := stopwatch(b)
	for b.Loop() {
		f := new(Frontier)
		for range million {
			f.Append(Hash(leaf), nil)
		}
		f.Root()
	}
	b.ReportMetric(million*float64(b.N)/cpu(), "leaves/core-s")
}

// BenchmarkVerify goes through an export: JSON, canonical form, commitments, leaf, tree, file hash.
func BenchmarkVerify(b *testing.B) {
	const size = 50_000
	signing, err := GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	keys, err := ParseKeys(signing, "")
	if err != nil {
		b.Fatal(err)
	}
	events, f, blocks := make([][]byte, size), new(Frontier), []Node{}
	for i := range events {
		leaf, err := Leaf(benchEvent(i + 1))
		if err != nil {
			b.Fatal(err)
		}
		h := Hash(leaf)
		quoted, err := json.Marshal(h[:])
		if err != nil {
			b.Fatal(err)
		}
		events[i] = bytes.Replace(benchEvent(i+1), []byte(`"leaf_hash":""`), append([]byte(`"leaf_hash":`), quoted...), 1)
		f.Append(h, func(n Node) {
			if n.Level == 1 {
				blocks = append(blocks, n)
			}
		})
	}
	signed, err := keys.Sign(Checkpoint{Origin: Origin(org), Size: size, Root: f.Root()})
	if err != nil {
		b.Fatal(err)
	}
	var file bytes.Buffer
	w, err := NewWriter(&file, "x", Origin(org), "", Header{Checkpoint: signed, Complete: true})
	if err != nil {
		b.Fatal(err)
	}
	for i, e := range events {
		if err := w.Event(Envelope{ID: "e", Type: "tenantry.project.update", Data: e}); err != nil {
			b.Fatal(err)
		}
		if (i+1)%BlockSize == 0 {
			if err := w.Block(int64(i/BlockSize), blocks[i/BlockSize].Hash); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	known, err := Verifiers(keys.Public()[0].VKey)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	cpu := stopwatch(b)
	for b.Loop() {
		r, err := Verify(bytes.NewReader(file.Bytes()), Options{Keys: known})
		if err != nil || !r.OK() {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(size*float64(b.N)/cpu(), "entries/core-s")
}
