//go:build stockhost

package objects

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encore.dev/internal/part"
)

func upload(t *testing.T, b *Bucket, name, body string, options ...UploadOption) error {
	t.Helper()
	w := b.Upload(t.Context(), name, options...)
	if _, err := io.WriteString(w, body); err != nil {
		w.Abort(err)
	}
	return w.Close()
}

func download(t *testing.T, b *Bucket, name string) (string, error) {
	t.Helper()
	r := b.Download(t.Context(), name)
	defer r.Close() //nolint:errcheck // test
	data, err := io.ReadAll(r)
	if !errors.Is(r.Err(), err) {
		t.Errorf("Err = %v, Read = %v", r.Err(), err)
	}
	return string(data), err
}

func TestObjects(t *testing.T) {
	t.Parallel()
	b := (&hub{}).declare("exports", BucketConfig{})
	if err := upload(t, b, "a/one", "1", WithUploadAttrs(UploadAttrs{ContentType: "text/csv"})); err != nil {
		t.Fatal(err)
	}
	if err := upload(t, b, "a/two", "22"); err != nil {
		t.Fatal(err)
	}
	if err := upload(t, b, "a/two", "x", WithPreconditions(Preconditions{NotExists: true})); !errors.Is(err, ErrPreconditionFailed) {
		t.Errorf("precondition: %v", err)
	}
	if body, err := download(t, b, "a/two"); err != nil || body != "22" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := download(t, b, "none"); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("download of nothing: %v", err)
	}
	a, err := b.Attrs(t.Context(), "a/one")
	if err != nil || a.Name != "a/one" || a.ContentType != "text/csv" || a.Size != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	for query, want := range map[Query]string{{}: "a/one a/two", {Limit: 1}: "a/one", {Prefix: "a/t"}: "a/two", {Prefix: "z"}: ""} {
		var names []string
		for e, err := range b.List(t.Context(), &query) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: %q, want %q", query, got, want)
		}
	}
	if err := b.Remove(t.Context(), "a/one"); err != nil {
		t.Fatal(err)
	}
	if exists, err := b.Exists(t.Context(), "a/one"); err != nil || exists {
		t.Errorf("exists = %v, %v", exists, err)
	}
}

func TestUploadsThatEndEarlyLeaveNothing(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	for name, end := range map[string]func(w *Writer, cancel func()){
		"abort":   func(w *Writer, _ func()) { w.Abort(why) },
		"context": func(_ *Writer, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := (&hub{}).declare("exports", BucketConfig{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := b.Upload(ctx, "half")
			if _, err := w.Write([]byte("half of it")); err != nil {
				t.Fatal(err)
			}
			end(w, cancel)
			if err := w.Close(); err == nil {
				t.Error("Close reports a whole upload")
			}
			if exists, err := b.Exists(t.Context(), "half"); err != nil || exists {
				t.Errorf("exists = %v, %v", exists, err)
			}
		})
	}
}

func TestBadNamesAreInvalidArguments(t *testing.T) {
	t.Parallel()
	b := (&hub{}).declare("exports", BucketConfig{})
	const bad = "../../etc/passwd"
	_, attrs := b.Attrs(t.Context(), bad)
	_, exists := b.Exists(t.Context(), bad)
	_, down := download(t, b, bad)
	for what, err := range map[string]error{"upload": upload(t, b, bad, "x"), "attrs": attrs, "exists": exists, "download": down, "remove": b.Remove(t.Context(), bad)} {
		if !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRefGivesOnlyItsPermissions(t *testing.T) {
	t.Parallel()
	b := (&hub{}).declare("exports", BucketConfig{})
	r := BucketRef[interface {
		Uploader
		Downloader
	}](b)
	if err := r.Upload(t.Context(), "a").Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := any(r).(*Bucket); ok {
		t.Error("a reference is the bucket itself")
	}
}

func TestStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ url, want string }{
		"files":          {"file://" + dir, ""},
		"no directory":   {"file://" + file, "OBJECT_STORE_URL names a store that cannot be used"},
		"nobody listens": {"s3://key:hunter2@127.0.0.1:1/prefix?tls=false", "OBJECT_STORE_URL names a store that cannot be used"},
		"other scheme":   {"ftp://key:hunter2@host", "OBJECT_STORE_URL is neither"},
		"no URL":         {"s3://key:hunter2@host:port/%zz", "OBJECT_STORE_URL is neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(urlVariable, tc.url)
			h := &hub{}
			b := h.declare("exports", BucketConfig{})
			err := h.start(t.Context())
			if tc.want == "" {
				if err := errors.Join(err, upload(t, b, "a", "x"), h.health(t.Context())); err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := (*part.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("err = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestUnsupportedBucketsStopTheStart(t *testing.T) {
	t.Parallel()
	h := &hub{}
	h.declare("exports", BucketConfig{Public: true})
	if err := h.start(t.Context()); err == nil {
		t.Fatal("a public bucket is accepted")
	}
}
