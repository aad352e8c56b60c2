package archive

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
)

// ErrCutOff says that an archive ends before its manifest.
var ErrCutOff = errors.New("archive: cut off before its manifest")

// Read checks an archive and hands every row to each, which may be nil. With a key, the manifest's
// HMAC is checked as well. An archive that anything was changed in, added to or taken from is an
// error, which comes only at its end: do nothing with rows that cannot be undone before that.
func Read(r io.Reader, key []byte, each func(kind string, data json.RawMessage) error) (Header, Manifest, error) {
	in := bufio.NewReaderSize(r, bufferSize)
	check, err := New(io.Discard, Header{}, key)
	if err != nil {
		return Header{}, Manifest{}, err
	}
	check.whole.Reset()
	if check.mac != nil {
		check.mac.Reset()
	}
	var (
		header Header
		line   struct {
			Type string
			Data json.RawMessage
		}
	)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			return header, Manifest{}, ErrCutOff
		}
		if err != nil {
			return header, Manifest{}, fmt.Errorf("archive: read: %w", err)
		}
		line.Data = nil
		if err := json.Unmarshal(text, &line); err != nil {
			return header, Manifest{}, fmt.Errorf("archive: line %d: %w", n, err)
		}
		switch {
		case n == 1:
			err = json.Unmarshal(line.Data, &header)
			if err == nil && (line.Type != "header" || header.Format != Format || header.Version != Version) {
				err = errors.New("is not the header of an archive that this program reads")
			}
		case line.Type == "manifest":
			m, err := check.compare(line.Data)
			if err == nil {
				_, err = in.ReadByte()
				if err == io.EOF {
					return header, m, nil
				}
				err = errors.New("archive: goes on after its manifest")
			}
			return header, m, err
		default:
			check.begin(line.Type)
			check.rows++
			check.current.rows++
			if each != nil {
				err = each(line.Type, line.Data)
			}
		}
		if err != nil {
			return header, Manifest{}, fmt.Errorf("archive: line %d: %w", n, err)
		}
		check.hash(text)
	}
}

// compare says whether the manifest that was read tells of what was read.
func (w *Writer) compare(data []byte) (Manifest, error) {
	var said Manifest
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&said); err != nil {
		return said, fmt.Errorf("archive: manifest: %w", err)
	}
	seen := w.Manifest()
	// A type without rows leaves no line, so only the manifest knows of it.
	for kind, s := range said.Types {
		if _, ok := seen.Types[kind]; !ok && s.Rows == 0 {
			seen.Types[kind] = Section{SHA256: sum(sha256.New())}
		}
	}
	switch {
	case said.SHA256 != seen.SHA256 || said.Rows != seen.Rows || !maps.Equal(said.Types, seen.Types):
		return said, errors.New("archive: its lines are not those that its manifest tells of")
	case w.mac != nil && !hmac.Equal([]byte(said.HMAC), []byte(seen.HMAC)):
		return said, errors.New("archive: was not made with this key")
	}
	return said, nil
}
