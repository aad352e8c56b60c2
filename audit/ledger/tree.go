package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Only the leaves and the roots of full subtrees of 256^k leaves are kept; what lies between is
// hashed again when a proof needs it, from 256 neighbours at most.
const (
	blockBits = 8
	maxLevels = 64 / blockBits
)

// Node is the root of the n-th full subtree of 256^Level leaves.
type Node struct {
	Level int
	N     int64
	Hash  tlog.Hash
}

// Frontier is a tree's right edge: the roots of its full subtrees, largest first. It is all that
// growing the tree and computing its root take.
type Frontier struct {
	size  int64
	roots []tlog.Hash
}

// Size is how many leaves the tree has.
func (f *Frontier) Size() int64 { return f.size }

// Append adds the next leaf. It gives kept each node that is now complete and to be stored.
func (f *Frontier) Append(leaf tlog.Hash, kept func(Node)) {
	h := leaf
	for level := 0; f.size>>level&1 == 1; {
		last := len(f.roots) - 1
		h = tlog.NodeHash(f.roots[last], h)
		f.roots = f.roots[:last]
		if level++; level%blockBits == 0 && kept != nil {
			kept(Node{Level: level / blockBits, N: f.size >> level, Hash: h})
		}
	}
	f.roots = append(f.roots, h)
	f.size++
}

// Root is the tree's root hash.
func (f *Frontier) Root() tlog.Hash {
	if len(f.roots) == 0 {
		return sha256.Sum256(nil)
	}
	last := len(f.roots) - 1
	h := f.roots[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(f.roots[i], h)
	}
	return h
}

// Bytes is the frontier as it is stored, beside its size.
func (f *Frontier) Bytes() []byte {
	out := make([]byte, 0, len(f.roots)*tlog.HashSize)
	for _, h := range f.roots {
		out = append(out, h[:]...)
	}
	return out
}

// ParseFrontier reads what Bytes wrote.
func ParseFrontier(size int64, text []byte) (*Frontier, error) {
	if size < 0 || len(text) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return nil, fmt.Errorf("ledger: a frontier of %d bytes does not fit %d leaves", len(text), size)
	}
	f := &Frontier{size: size}
	for ; len(text) > 0; text = text[tlog.HashSize:] {
		f.roots = append(f.roots, tlog.Hash(text[:tlog.HashSize]))
	}
	return f, nil
}

// Range are neighbours of one level: leaves at level 0, stored nodes above.
type Range struct {
	Level    int
	From, To int64 // To is not included
}

// Tree proves things about a log whose hashes can be read.
type Tree struct {
	Size int64
	// Read gives the hashes of each range. It may be asked for many at once.
	Read func([]Range) ([][]tlog.Hash, error)
}

// Inclusion proves that the leaf at index is in the tree.
func (t Tree) Inclusion(index int64) (tlog.RecordProof, error) {
	return tlog.ProveRecord(t.Size, index, tlog.HashReaderFunc(t.hashes))
}

// Consistency proves that the tree began as the one of the first from leaves.
func (t Tree) Consistency(from int64) (tlog.TreeProof, error) {
	if from == 0 || from == t.Size {
		return nil, nil // everything begins with nothing, and with itself
	}
	return tlog.ProveTree(t.Size, from, tlog.HashReaderFunc(t.hashes))
}

// Root is the root hash as the stored hashes have it.
func (t Tree) Root() (tlog.Hash, error) {
	if t.Size == 0 {
		return (&Frontier{}).Root(), nil
	}
	return tlog.TreeHash(t.Size, tlog.HashReaderFunc(t.hashes))
}

// hashes reads by tlog's numbering: a hash between two stored levels is made from those below it.
func (t Tree) hashes(indexes []int64) ([]tlog.Hash, error) {
	ranges := make([]Range, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		span := int64(1) << (level % blockBits)
		ranges[i] = Range{Level: level / blockBits, From: n * span, To: (n + 1) * span}
	}
	found, err := t.Read(ranges)
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, r := range ranges {
		if int64(len(found[i])) != r.To-r.From {
			return nil, fmt.Errorf("%w: level %d from %d to %d", ErrMissing, r.Level, r.From, r.To)
		}
		out[i] = fold(found[i])
	}
	return out, nil
}

// ErrMissing says that hashes are gone that a proof needs.
var ErrMissing = errors.New("ledger: hashes are missing")

// fold is the root over a power of two of hashes.
func fold(hs []tlog.Hash) tlog.Hash {
	for len(hs) > 1 {
		for i := range len(hs) / 2 {
			hs[i] = tlog.NodeHash(hs[2*i], hs[2*i+1])
		}
		hs = hs[:len(hs)/2]
	}
	return hs[0]
}
