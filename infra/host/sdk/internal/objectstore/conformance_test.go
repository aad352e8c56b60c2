//go:build stockhost

package objectstore

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func TestStores(t *testing.T) {
	t.Parallel()
	stores := map[string]func(t *testing.T) Store{
		"files":  func(t *testing.T) Store { return &Files{Root: t.TempDir()} },
		"memory": func(*testing.T) Store { return &Memory{} },
	}
	// s3://key:secret@host:port/prefix?tls=false; make test says when there is none.
	if raw := os.Getenv("TEST_S3_URL"); raw != "" {
		stores["s3"] = func(t *testing.T) Store {
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewS3(u)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
	for name, make := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testStore(t, make(t))
		})
	}
}

func put(t *testing.T, s Store, bucket, key, body string, opts PutOptions) error {
	t.Helper()
	return s.Put(t.Context(), bucket, key, strings.NewReader(body), opts)
}

func get(t *testing.T, s Store, bucket, key string) (string, error) {
	t.Helper()
	r, err := s.Get(t.Context(), bucket, key)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // test
	data, err := io.ReadAll(r)
	return string(data), err
}

func keys(t *testing.T, s Store, bucket, prefix string) string {
	t.Helper()
	var list []string
	for a, err := range s.List(t.Context(), bucket, prefix) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a.Key)
	}
	return strings.Join(list, " ")
}

func testStore(t *testing.T, s Store) {
	ctx, bucket := t.Context(), "b"+strings.ToLower(rand.Text()[:12])
	for range 2 { // as two replicas do
		if err := s.Open(ctx, bucket); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Health(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, bucket, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	if _, err := s.Stat(ctx, bucket, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("stat of nothing: %v", err)
	}
	if err := s.Remove(ctx, bucket, "none"); err != nil {
		t.Errorf("remove of nothing: %v", err)
	}

	if err := put(t, s, bucket, "a", "first", PutOptions{ContentType: "text/plain"}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Stat(ctx, bucket, "a")
	if err != nil || before.Key != "a" || before.Size != 5 || before.ContentType != "text/plain" || before.ETag == "" {
		t.Fatalf("%+v, %v", before, err)
	}
	if err := put(t, s, bucket, "a", "other", PutOptions{NotExists: true}); !errors.Is(err, ErrExists) {
		t.Errorf("an object was replaced against its precondition: %v", err)
	}
	if err := put(t, s, bucket, "a", "second", PutOptions{}); err != nil {
		t.Fatal(err)
	}
	after, err := s.Stat(ctx, bucket, "a")
	if err != nil || after.ETag == before.ETag || after.ContentType == "text/plain" {
		t.Errorf("%+v, %v", after, err)
	}
	if body, err := get(t, s, bucket, "a"); err != nil || body != "second" {
		t.Errorf("%q, %v", body, err)
	}

	broken := errors.New("broken")
	if err := s.Put(ctx, bucket, "half", io.MultiReader(strings.NewReader("half of it"), iotest.ErrReader(broken)), PutOptions{}); !errors.Is(err, broken) {
		t.Errorf("a broken upload: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(ended, bucket, "half", strings.NewReader("x"), PutOptions{}); err == nil {
		t.Error("an upload whose context has ended succeeds")
	}

	long := "long/" + strings.Repeat("ä ", 100)
	for _, key := range []string{"a/b", "a/b/c.txt", "x y?&%2F+#", "ü", long} {
		if err := put(t, s, bucket, key, key, PutOptions{NotExists: true}); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if body, err := get(t, s, bucket, key); err != nil || body != key {
			t.Errorf("%q: %q, %v", key, body, err)
		}
	}
	if got := keys(t, s, bucket, "a"); got != "a a/b a/b/c.txt" {
		t.Errorf("list = %q", got)
	}
	if got := keys(t, s, bucket, "long/"); got != long {
		t.Errorf("list = %q", got)
	}
	if err := s.Remove(ctx, bucket, "a"); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s, bucket, ""); got != strings.Join([]string{"a/b", "a/b/c.txt", long, "x y?&%2F+#", "ü"}, " ") {
		t.Errorf("list = %q", got)
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\x00", "a\nb", "\xff", strings.Repeat("x", 1025)} {
		if err := CheckKey(key); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"a", "a/b", "..a", "a..", "ü/😀", "a b", strings.Repeat("x", 1024)} {
		if err := CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a", "a/b", strings.Repeat("ü", 512), strings.Repeat("x/", 400) + "x", "%", "a%"} {
		name := fileName(key)
		for part := range strings.SplitSeq(name, string(os.PathSeparator)) {
			if len(part) > 255 || part == "" || part == "." || part == ".." {
				t.Errorf("%.20q: part %q", key, part)
			}
		}
		if back, err := keyOf(name); err != nil || back != key {
			t.Errorf("%.20q comes back as %.20q, %v", key, back, err)
		}
	}
}
