// Package archive writes everything that somebody owns as one stream of NDJSON that proves itself
// whole: a header, a line a row, and a manifest with the number of rows and the SHA-256 of every
// type and of all that came before it. An archive without its manifest was cut off.
//
//	{"type":"header","data":{"format":"tenantry-archive","version":1,…}}
//	{"type":"project","data":{…}}
//	{"type":"manifest","data":{"rows":1,"types":{"project":{"rows":1,"sha256":"…"}},"sha256":"…"}}
//
// A type's hash is over its lines, the whole one over every line before the manifest, line feeds
// included; rows counts neither header nor manifest. A row is never held longer than it takes to
// write it.
package archive

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Format and Version say what an archive's lines mean.
const (
	Format  = "tenantry-archive"
	Version = 1
)

// bufferSize is how much goes out at once.
const bufferSize = 64 << 10

// Header is the data of the first line.
type Header struct {
	Format    string    `json:"format"`
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	OrgID     string    `json:"org_id"`
	CreatedAt time.Time `json:"created_at"`
	// Personal says which fields of a type are about people, for whoever keeps the archive.
	Personal map[string][]string `json:"personal,omitempty"`
}

// Section is what the manifest says of one type.
type Section struct {
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Manifest is the data of the last line.
type Manifest struct {
	Rows   int64              `json:"rows"`
	Types  map[string]Section `json:"types"`
	SHA256 string             `json:"sha256"`
	HMAC   string             `json:"hmac_sha256,omitempty"` // over the same bytes, where there is a key
}

// Writer writes one archive. It is not safe for concurrent use.
type Writer struct {
	out      *bufio.Writer
	whole    hash.Hash
	mac      hash.Hash // nil without a key
	sections map[string]*section
	rows     int64
	current  *section
	text     []byte // the line being written
}

type section struct {
	rows int64
	hash hash.Hash
}

// New begins an archive. key, if there is one, is that of an HMAC over it.
func New(w io.Writer, h Header, key []byte) (*Writer, error) {
	out := &Writer{out: bufio.NewWriterSize(w, bufferSize), whole: sha256.New(), sections: map[string]*section{}}
	if len(key) > 0 {
		out.mac = hmac.New(sha256.New, key)
	}
	h.Format, h.Version, h.CreatedAt = Format, Version, h.CreatedAt.UTC()
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("archive: header: %w", err)
	}
	return out, out.line("header", data)
}

// Rows writes what a query answers, each row one line of the given type. The query's one column is
// the row's JSON object as text. No rows is a type with none.
func (w *Writer) Rows(ctx context.Context, tx pgx.Tx, kind, sql string, args ...any) error {
	w.begin(kind)
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("archive: %s: %w", kind, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := w.row(kind, rows.RawValues()[0]); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("archive: %s: %w", kind, err)
	}
	return nil
}

// Types writes what several queries answer, as Rows does, in the order of their types' names.
func (w *Writer) Types(ctx context.Context, tx pgx.Tx, sqlOf map[string]string, args ...any) error {
	for _, kind := range slices.Sorted(maps.Keys(sqlOf)) {
		if err := w.Rows(ctx, tx, kind, sqlOf[kind], args...); err != nil {
			return err
		}
	}
	return nil
}

// Row writes one row.
func (w *Writer) Row(kind string, row any) error {
	data, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("archive: %s: %w", kind, err)
	}
	w.begin(kind)
	return w.row(kind, data)
}

func (w *Writer) row(kind string, data []byte) error {
	w.rows++
	w.current.rows++
	return w.line(kind, data)
}

func (w *Writer) begin(kind string) {
	s := w.sections[kind]
	if s == nil {
		s = &section{hash: sha256.New()}
		w.sections[kind] = s
	}
	w.current = s
}

// line writes one line and hashes it. Only rows belong to a section.
func (w *Writer) line(kind string, data []byte) error {
	w.text = append(w.text[:0], `{"type":"`...)
	w.text = append(append(w.text, kind...), `","data":`...)
	w.text = append(append(w.text, data...), "}\n"...)
	w.hash(w.text)
	if _, err := w.out.Write(w.text); err != nil {
		return fmt.Errorf("archive: write: %w", err)
	}
	return nil
}

func (w *Writer) hash(line []byte) {
	w.whole.Write(line)
	if w.mac != nil {
		w.mac.Write(line)
	}
	if w.current != nil {
		w.current.hash.Write(line)
	}
}

// Manifest is what the last line will say, if nothing is added.
func (w *Writer) Manifest() Manifest {
	m := Manifest{Rows: w.rows, Types: make(map[string]Section, len(w.sections)), SHA256: sum(w.whole)}
	for kind, s := range w.sections {
		m.Types[kind] = Section{Rows: s.rows, SHA256: sum(s.hash)}
	}
	if w.mac != nil {
		m.HMAC = sum(w.mac)
	}
	return m
}

// Close writes the manifest and sends what is left.
func (w *Writer) Close() error {
	data, err := json.Marshal(w.Manifest())
	if err != nil {
		return fmt.Errorf("archive: manifest: %w", err)
	}
	w.current = nil
	if err := w.line("manifest", data); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("archive: write: %w", err)
	}
	return nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
