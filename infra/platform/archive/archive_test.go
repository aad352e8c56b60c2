package archive

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

var key = []byte("a key")

func write(t *testing.T, key []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := New(&out, Header{ID: "1", OrgID: "o", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, key)
	if err != nil {
		t.Fatal(err)
	}
	for kind, rows := range map[string][]string{"a": {"one", "two\nlines", "three"}, "b": {"four"}} {
		for _, row := range rows {
			if err := w.Row(kind, map[string]string{"title": row}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.begin("empty")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAnArchiveIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	text := write(t, key)
	rows := map[string]int{}
	h, m, err := Read(bytes.NewReader(text), key, func(kind string, data json.RawMessage) error {
		rows[kind]++
		return nil
	})
	if err != nil || h.OrgID != "o" || h.CreatedAt.Year() != 2026 {
		t.Fatalf("got %+v, %v", h, err)
	}
	if rows["a"] != 3 || rows["b"] != 1 || m.Rows != 4 || m.Types["a"].Rows != 3 || len(m.Types) != 3 {
		t.Errorf("got %v, %+v", rows, m)
	}
	// By hand, as the package documentation says it.
	body := text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1]
	whole := sha256.Sum256(body)
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	var lines []byte
	for _, line := range bytes.SplitAfter(body, []byte("\n")) {
		if bytes.HasPrefix(line, []byte(`{"type":"a"`)) {
			lines = append(lines, line...)
		}
	}
	ofA := sha256.Sum256(lines)
	if m.SHA256 != hex.EncodeToString(whole[:]) || m.HMAC != hex.EncodeToString(mac.Sum(nil)) || m.Types["a"].SHA256 != hex.EncodeToString(ofA[:]) {
		t.Errorf("the manifest's hashes are others: %+v", m)
	}
}

func TestAnythingDoneToAnArchiveShows(t *testing.T) {
	t.Parallel()
	whole := string(write(t, key))
	lines := strings.SplitAfter(whole, "\n")
	lines = lines[:len(lines)-1]
	last := len(lines) - 1
	swap := append([]string{}, lines...)
	swap[1], swap[2] = swap[2], swap[1]
	for name, text := range map[string]string{
		"a changed letter":     strings.Replace(whole, "two", "tvo", 1),
		"a row less":           strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""),
		"a row twice":          strings.Join(append(append([]string{}, lines[:2]...), lines[1:]...), ""),
		"rows in other order":  strings.Join(swap, ""),
		"no manifest":          strings.Join(lines[:last], ""),
		"half a line":          whole[:len(whole)-40],
		"more behind":          whole + lines[1],
		"another header":       strings.Replace(whole, `"org_id":"o"`, `"org_id":"p"`, 1),
		"another format":       strings.Replace(whole, Format, "other", 1),
		"no header":            strings.Join(lines[1:], ""),
		"another manifest":     strings.Replace(whole, `"rows":4`, `"rows":5`, 1),
		"a type that is not":   strings.Replace(whole, `"types":{`, `"types":{"c":{"rows":1,"sha256":""},`, 1),
		"nothing":              "",
		"made without the key": string(write(t, nil)),
		"made with another":    string(write(t, []byte("another"))),
	} {
		if _, _, err := Read(strings.NewReader(text), key, nil); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
	}
	if _, _, err := Read(strings.NewReader(strings.Join(lines[:last], "")), key, nil); !errors.Is(err, ErrCutOff) {
		t.Errorf("cut off: got %v", err)
	}
	if _, _, err := Read(strings.NewReader(whole), nil, nil); err != nil {
		t.Errorf("without the key the hashes are still good: %v", err)
	}
}

// broken takes so much and no more.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("nobody reads")
	}
	return len(p), nil
}

func TestAReaderThatGoesEndsTheArchive(t *testing.T) {
	t.Parallel()
	w, err := New(&broken{left: 3 * bufferSize}, Header{}, nil)
	for n := 0; err == nil; n++ {
		if n > 100 {
			t.Fatal("nobody noticed")
		}
		err = w.Row("a", strings.Repeat("x", bufferSize/2))
	}
}
