package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrNotExport is returned for a file that is no export of an audit log, or only the beginning of one.
var ErrNotExport = errors.New("ledger: not a whole export of an audit log")

// maxLine is longer than any event with its proof.
const maxLine = 16 << 20

// Options of a verification.
type Options struct {
	Keys note.Verifiers
	// Earlier is a checkpoint that was kept from before; nil if there is none. Only against one can a
	// log be found out that was rewritten as a whole.
	Earlier *Checkpoint
}

// Verify reads an export and checks every entry of it: that its content makes its leaf, that the
// leaves are numbered without a gap and make the tree whose root is signed, and that this tree
// continues an earlier one. It needs the memory of one line, however long the export is. The error is
// for what cannot be checked at all; what is wrong is in the report.
func Verify(r io.Reader, o Options) (*Report, error) {
	v := verifier{options: o, sum: sha256.New(), report: new(Report), next: 1}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	for lines.Scan() {
		if v.ended {
			return nil, fmt.Errorf("%w: it goes on after its manifest", ErrNotExport)
		}
		if err := v.line(lines.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("ledger: read export: %w", err)
	}
	if !v.ended {
		return nil, fmt.Errorf("%w: it has no manifest, so it was cut off", ErrNotExport)
	}
	v.end()
	return v.report, nil
}

// verifier goes through an export line by line.
type verifier struct {
	options Options
	report  *Report
	sum     hash.Hash
	header  bool // was read
	org     []byte
	ended   bool

	canonical canonicalizer
	text      []byte
	event     []part // members of the line's data
	maker     Maker

	next      int64 // the number that comes next
	holes     bool  // the leaves make no tree
	tree      Frontier
	since     int64     // how many entries came since the last boundary
	block     tlog.Hash // the root of the tree's last full block
	suspects  bool      // some block was found wrong
	earlier   tlog.Hash
	unpruned  int64 // the first entry with a payload
	late      int64 // the last entry without one that comes after
	lateID    string
	retention int64 // payloads up to here were removed by rule
}

func (v *verifier) line(line []byte) (err error) {
	if v.text, err = v.canonical.outline(v.text[:0], line); err != nil {
		if !v.header {
			return fmt.Errorf("%w: %w", ErrNotExport, err)
		}
		v.report.add(v.next, "", "the line is not JSON: %v", err)
		v.holes = true
		v.add(line)
		return nil
	}
	var kind, data []byte
	v.event = v.event[:0]
	for _, m := range v.canonical.outer {
		switch p := m.of(v.text); string(p.name) {
		case "type":
			kind = bytes.Trim(p.value, `"`)
		case "data":
			data = p.value
			for _, inner := range v.canonical.inner {
				if m.name < inner.start && inner.end < m.end {
					v.event = append(v.event, inner.of(v.text))
				}
			}
		}
	}
	switch {
	case !v.header:
		if string(kind) != TypeHeader {
			return fmt.Errorf("%w: it does not begin with a header", ErrNotExport)
		}
		err = v.begin(data)
	case string(kind) == TypeManifest:
		return v.manifest(data)
	case string(kind) == TypeBlock:
		err = v.checkBlock(data)
	default:
		v.entry(v.event, string(kind) == TypePruned)
	}
	v.add(line)
	return err
}

func (v *verifier) add(line []byte) {
	v.sum.Write(line)
	v.sum.Write([]byte{'\n'})
}

func (v *verifier) begin(data []byte) error {
	var h Header
	if err := json.Unmarshal(data, &h); err != nil {
		return fmt.Errorf("%w: header: %w", ErrNotExport, err)
	}
	if h.LeafFormat != Format {
		return fmt.Errorf("%w: leaves are made by the rules of %q, this verifier knows %q", ErrNotExport, h.LeafFormat, Format)
	}
	c, err := OpenCheckpoint(h.Checkpoint, v.options.Keys)
	if err != nil {
		return err
	}
	org, ok := strings.CutPrefix(c.Origin, originPrefix)
	if !ok {
		return fmt.Errorf("%w: the origin %s is no audit log's", ErrCheckpoint, c.Origin)
	}
	v.header, v.org, v.report.Checkpoint, v.report.Complete = true, []byte(org), c, h.Complete
	e := v.options.Earlier
	if e == nil {
		return nil
	}
	if e.Origin != c.Origin {
		return fmt.Errorf("%w: the earlier checkpoint is of %s, the export of %s", ErrCheckpoint, e.Origin, c.Origin)
	}
	if e.Size > c.Size {
		v.report.add(0, "", "the log was rolled back: it had %d entries once and has %d", e.Size, c.Size)
	}
	v.earlier = v.tree.Root()
	return nil
}

// parsed is what the verifier itself needs of an entry.
type parsed struct {
	seq                     int64
	rawID, org              []byte
	leafHash, proof         []byte // as canonical JSON
	actor, action, resource []byte
	changes                 []byte
}

func (p parsed) id() string { return string(p.rawID) }

func parseEntry(event []part) (p parsed, err error) {
	for _, m := range event {
		value := m.value
		switch string(m.name) {
		case "seq":
			p.seq, err = strconv.ParseInt(string(value), 10, 64)
		case "id":
			p.rawID = bytes.Trim(value, `"`)
		case "org_id":
			p.org = bytes.Trim(value, `"`)
		case "leaf_hash":
			p.leafHash = value
		case "proof":
			p.proof = value
		case "actor":
			p.actor = value
		case "action":
			p.action = value
		case "resource":
			p.resource = value
		case "changes":
			p.changes = value
		}
		if err != nil {
			return p, errors.New("its number is none")
		}
	}
	return p, nil
}

// entry checks one event, or what retention left of it.
func (v *verifier) entry(event []part, pruned bool) {
	r := v.report
	r.Entries++
	p, err := parseEntry(event)
	if err != nil {
		r.add(v.next, p.id(), "%v", err)
		v.holes = true
		return
	}
	if !bytes.Equal(p.org, v.org) {
		r.add(p.seq, p.id(), "it is of another log: %s", p.org)
	}
	claimed, err := hashOf(p.leafHash)
	if err != nil {
		r.add(p.seq, p.id(), "its leaf_hash is none")
	}
	switch {
	case pruned:
		r.Pruned++
		if v.unpruned > 0 {
			v.late, v.lateID = p.seq, p.id()
		}
	default:
		if v.unpruned == 0 {
			v.unpruned = p.seq
		}
		leaf, err := v.maker.leafOf(event)
		if err != nil {
			r.add(p.seq, p.id(), "altered: %v", err)
		} else if Hash(leaf) != claimed {
			r.add(p.seq, p.id(), "altered: its content does not make its leaf_hash")
		}
		v.noteRetention(p)
	}
	v.position(p)
	v.prove(p, claimed)
	v.grow(claimed)
}

// position checks that the entry has the number that comes next.
func (v *verifier) position(p parsed) {
	r := v.report
	switch {
	case p.seq > r.Checkpoint.Size:
		r.add(p.seq, p.id(), "inserted: the checkpoint covers %d entries", r.Checkpoint.Size)
	case p.seq < v.next:
		r.add(p.seq, p.id(), "out of order or twice: entry %d comes next", v.next)
	case p.seq > v.next && r.Complete:
		v.missing(v.next, p.seq-1)
	}
	if p.seq != v.next {
		v.holes = true
	}
	v.next = max(v.next, p.seq+1)
}

func (v *verifier) missing(from, to int64) {
	if from == to {
		v.report.add(from, "", "removed")
		return
	}
	v.report.add(from, "", "removed, and all up to %d", to)
}

// prove checks the entry's own proof, if it has one.
func (v *verifier) prove(p parsed, leaf tlog.Hash) {
	if p.proof == nil {
		if !v.report.Complete {
			v.report.add(p.seq, p.id(), "it has no proof, and the export is not complete")
		}
		return
	}
	var raw [][]byte
	err := json.Unmarshal(p.proof, &raw)
	proof := make(tlog.RecordProof, len(raw))
	for i, h := range raw {
		if len(h) != tlog.HashSize {
			err = ErrNotJSON
			break
		}
		proof[i] = tlog.Hash(h)
	}
	c := v.report.Checkpoint
	if err == nil && p.seq > 0 && p.seq <= c.Size {
		err = tlog.CheckRecord(proof, c.Size, c.Root, p.seq-1, leaf)
	}
	if err != nil {
		v.report.add(p.seq, p.id(), "not in the signed tree: altered, moved or inserted")
		v.suspects = true
	}
}

func (v *verifier) grow(leaf tlog.Hash) {
	if !v.report.Complete {
		return
	}
	v.since++
	v.tree.Append(leaf, func(n Node) {
		if n.Level == 1 {
			v.block = n.Hash
		}
	})
	if e := v.options.Earlier; e != nil && v.tree.Size() == e.Size {
		v.earlier = v.tree.Root()
	}
}

// checkBlock compares what the log has stored about the last 256 entries with what they make.
func (v *verifier) checkBlock(data []byte) error {
	var b Block
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("%w: block: %w", ErrNotExport, err)
	}
	aligned := v.tree.Size()%BlockSize == 0
	if v.report.Complete && !v.holes && (!aligned || v.since != BlockSize) {
		v.report.add(0, "", "before entry %d there is the root of a block where none ends", v.next)
	}
	if aligned && v.since == BlockSize && !bytes.Equal(v.block[:], b.Hash) {
		v.report.add(0, "", "among the entries %d to %d some were altered together with their hashes, moved or inserted",
			b.N*BlockSize+1, (b.N+1)*BlockSize)
		v.suspects = true
	}
	if v.since = 0; v.holes && !aligned { // there is no tree to make any more, but there are blocks
		v.tree = Frontier{}
	}
	return nil
}

// noteRetention remembers how far the log says that payloads were removed by rule.
func (v *verifier) noteRetention(p parsed) {
	if string(p.action) != `"`+RetentionAction+`"` {
		return
	}
	var actor struct{ ID, Type string }
	var resource struct{ Kind string }
	var changes map[string]json.RawMessage
	if json.Unmarshal(p.actor, &actor) != nil || json.Unmarshal(p.resource, &resource) != nil || json.Unmarshal(p.changes, &changes) != nil {
		return
	}
	if actor.ID != RetentionActor || resource.Kind != RetentionKind {
		return
	}
	if through, err := strconv.ParseInt(string(changes[ThroughSeq]), 10, 64); err == nil {
		v.retention = max(v.retention, through)
	}
}

func (v *verifier) manifest(data []byte) error {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%w: manifest: %w", ErrNotExport, err)
	}
	v.ended = true
	if m.SHA256 != hex.EncodeToString(v.sum.Sum(nil)) {
		v.report.add(0, "", "the file is not as it was written: its SHA-256 is another one")
	}
	if m.Entries != v.report.Entries {
		v.report.add(0, "", "the file was written with %d entries and has %d", m.Entries, v.report.Entries)
	}
	return nil
}

// end checks the log as a whole.
func (v *verifier) end() {
	r := v.report
	if v.late > v.retention {
		r.add(v.late, v.lateID, "its payload was removed, and not by retention")
	}
	if first := v.unpruned; r.Pruned > 0 && v.late == 0 {
		through := r.Pruned
		if first > 0 {
			through = first - 1
		}
		if through > v.retention {
			r.add(through, "", "the payloads up to here were removed, and not by retention")
		}
	}
	if !r.Complete {
		return
	}
	if v.next <= r.Checkpoint.Size {
		v.missing(v.next, r.Checkpoint.Size)
		return
	}
	if v.holes {
		return // said already, entry by entry
	}
	if v.tree.Root() != r.Checkpoint.Root && !v.suspects {
		r.add(0, "", "the entries do not make the signed tree: some were altered together with their hashes, moved or inserted; an export with proofs says which")
	}
	if e := v.options.Earlier; e != nil && e.Size <= r.Checkpoint.Size && v.earlier != e.Root {
		r.add(0, "", "the log was rewritten: among its first %d entries some are not what they were at the earlier checkpoint", e.Size)
	}
}

func hashOf(quoted []byte) (tlog.Hash, error) {
	raw, err := decode(quoted)
	return tlog.Hash(raw), err
}
