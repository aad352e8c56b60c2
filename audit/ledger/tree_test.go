package ledger

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// kept is a log in memory: leaves at level 0, nodes above, as the database has them.
type kept [maxLevels][]tlog.Hash

func (k *kept) read(ranges []Range) ([][]tlog.Hash, error) {
	out := make([][]tlog.Hash, len(ranges))
	for i, r := range ranges {
		if r.To <= int64(len(k[r.Level])) {
			out[i] = append(out[i], k[r.Level][r.From:r.To]...)
		}
	}
	return out, nil
}

func leafHash(i int) tlog.Hash { return tlog.RecordHash(binary.BigEndian.AppendUint64(nil, uint64(i))) }

// grown is a log of size leaves, and its root at every size.
func grown(size int) (*kept, *Frontier, []tlog.Hash) {
	k, f := new(kept), new(Frontier)
	roots := []tlog.Hash{f.Root()}
	for i := range size {
		k[0] = append(k[0], leafHash(i))
		f.Append(leafHash(i), func(n Node) {
			if n.N != int64(len(k[n.Level])) {
				panic("nodes come in order")
			}
			k[n.Level] = append(k[n.Level], n.Hash)
		})
		roots = append(roots, f.Root())
	}
	return k, f, roots
}

// tlog's own way to keep hashes is the reference: CT's tests hold it to RFC 6962.
func TestTheTreeIsThatOfRFC6962(t *testing.T) {
	t.Parallel()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	})
	_, _, roots := grown(1000)
	for size := range roots {
		want, err := tlog.TreeHash(int64(size), reader)
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 && want != roots[size] {
			t.Fatalf("size %d", size)
		}
		hashes, err := tlog.StoredHashesForRecordHash(int64(size), leafHash(size), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
}

func TestProofsOverEveryBoundary(t *testing.T) {
	t.Parallel()
	const most = 256*256 + 300
	k, _, roots := grown(most)
	sizes := []int{1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65535, 65536, 65537, most}
	for _, size := range sizes {
		tree := Tree{Size: int64(size), Read: k.read}
		if root, err := tree.Root(); err != nil || root != roots[size] {
			t.Fatalf("root of %d: %v", size, err)
		}
		for _, i := range append(sizes, 0, 128, 254) {
			if i >= size {
				continue
			}
			proof, err := tree.Inclusion(int64(i))
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", i, size, err)
			}
			if err := tlog.CheckRecord(proof, int64(size), roots[size], int64(i), leafHash(i)); err != nil {
				t.Errorf("leaf %d of %d: %v", i, size, err)
			}
			if err := tlog.CheckRecord(proof, int64(size), roots[size], int64(i), leafHash(i+1)); err == nil {
				t.Errorf("leaf %d of %d: proves another leaf", i, size)
			}
		}
		for _, from := range sizes {
			if from >= size {
				continue
			}
			proof, err := tree.Consistency(int64(from))
			if err != nil {
				t.Fatalf("%d from %d: %v", size, from, err)
			}
			if err := tlog.CheckTree(proof, int64(size), roots[size], int64(from), roots[from]); err != nil {
				t.Errorf("%d from %d: %v", size, from, err)
			}
		}
	}
}

func TestMissingHashesAreSaidToBe(t *testing.T) {
	t.Parallel()
	k, _, _ := grown(600)
	k[0] = k[0][:500]
	if _, err := (Tree{Size: 600, Read: k.read}).Inclusion(0); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
}

func TestAFrontierComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for size := range 70 {
		_, f, roots := grown(size)
		g, err := ParseFrontier(int64(size), f.Bytes())
		if err != nil || g.Root() != roots[size] || g.Size() != int64(size) {
			t.Fatalf("size %d: %v", size, err)
		}
		if _, err := ParseFrontier(int64(size+1), f.Bytes()); err == nil && len(f.Bytes()) != 32*onesCount(size+1) {
			t.Errorf("size %d passes for one more", size)
		}
	}
}

func onesCount(n int) (ones int) {
	for ; n > 0; n &= n - 1 {
		ones++
	}
	return ones
}
