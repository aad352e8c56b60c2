package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// Writer writes an export. Its lines go through a buffer; Close ends it with the manifest.
type Writer struct {
	out      *bufio.Writer
	sum      hash.Hash
	id       string
	origin   string
	manifest Manifest
	line     bytes.Buffer
	enc      *json.Encoder

	canonical canonicalizer
	text      []byte
}

// NewWriter begins an export, which has an id of its own, of the log with this origin.
func NewWriter(w io.Writer, id, origin, at string, h Header) (*Writer, error) {
	x := &Writer{sum: sha256.New(), id: id, origin: origin, manifest: Manifest{Checkpoint: h.Checkpoint}}
	x.out = bufio.NewWriterSize(w, 1<<16)
	x.enc = json.NewEncoder(&x.line)
	x.enc.SetEscapeHTML(false)
	h.LeafFormat = Format
	return x, x.data(Envelope{ID: id, Type: TypeHeader, Time: at}, h)
}

// Event writes an event, whose data is JSON, as the envelope says.
func (x *Writer) Event(e Envelope) error {
	x.manifest.Entries++
	return x.write(e)
}

// Pruned writes an entry that has no payload any more.
func (x *Writer) Pruned(p Pruned) error {
	x.manifest.Entries++
	x.manifest.Pruned++
	return x.data(Envelope{ID: p.ID, Type: TypePruned, Sequence: strconv.FormatInt(p.Seq, 10)}, p)
}

// Block writes what the log has stored as the root of a block.
func (x *Writer) Block(n int64, root tlog.Hash) error {
	return x.data(Envelope{ID: fmt.Sprintf("%s-block-%d", x.id, n), Type: TypeBlock}, Block{N: n, Hash: root[:]})
}

// Close writes the manifest.
func (x *Writer) Close() error {
	x.manifest.SHA256 = hex.EncodeToString(x.sum.Sum(nil))
	if err := x.data(Envelope{ID: x.id + "-manifest", Type: TypeManifest}, x.manifest); err != nil {
		return err
	}
	return x.out.Flush()
}

func (x *Writer) data(e Envelope, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e.Data = text
	return x.write(e)
}

func (x *Writer) write(e Envelope) error {
	e.SpecVersion, e.Source, e.DataContentType = "1.0", x.origin, "application/json"
	x.line.Reset()
	if err := x.enc.Encode(e); err != nil {
		return err
	}
	var err error
	// Lines are canonical, so that a verifier has nothing to put in order.
	if x.text, err = x.canonical.text(x.text[:0], x.line.Bytes()); err != nil {
		return err
	}
	x.text = append(x.text, '\n')
	x.sum.Write(x.text)
	_, err = x.out.Write(x.text)
	return err
}

// EncodeProof is a proof as an export has it.
func EncodeProof(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes)) // an empty proof is one, too
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}
