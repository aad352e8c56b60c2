package ledger

import "golang.org/x/mod/sumdb/tlog"

// cachedBlocks bounds a Cached reader's memory: neighbours share nearly all that their proofs need.
const cachedBlocks = 32

// Cached reads whole blocks of 256 and keeps the last few, for proofs of many entries in their order.
// It is for one goroutine.
func Cached(t Tree) Tree {
	type at struct {
		level int
		n     int64
	}
	blocks := map[at][]tlog.Hash{}
	read := t.Read
	t.Read = func(ranges []Range) ([][]tlog.Hash, error) {
		var wanted []Range
		var places []at
		asked := map[at]bool{}
		for _, r := range ranges {
			place := at{r.Level, r.From >> blockBits}
			if _, ok := blocks[place]; ok || asked[place] {
				continue
			}
			asked[place] = true
			places = append(places, place)
			most := t.Size >> (blockBits * r.Level) // full subtrees of this level
			wanted = append(wanted, Range{Level: r.Level, From: place.n << blockBits, To: min((place.n+1)<<blockBits, most)})
		}
		if len(wanted) > 0 {
			if len(blocks)+len(wanted) > cachedBlocks {
				clear(blocks)
				return t.Read(ranges)
			}
			found, err := read(wanted)
			if err != nil {
				return nil, err
			}
			for i, place := range places {
				blocks[place] = found[i]
			}
		}
		out := make([][]tlog.Hash, len(ranges))
		for i, r := range ranges {
			start := r.From >> blockBits << blockBits
			if block := blocks[at{r.Level, r.From >> blockBits}]; r.To-start <= int64(len(block)) {
				out[i] = append(out[i], block[r.From-start:r.To-start]...) // a copy: folding writes on it
			}
		}
		return out, nil
	}
	return t
}
