package objectstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files keeps each bucket in a directory and each object in a file. A file's
// name is the escaped key, cut into directories where the file system would
// refuse its length; so no key can lead out of its bucket, and "a" and "a/b"
// can both exist. A content type is kept in a file beside it.
type Files struct{ Root string }

var _ Store = (*Files)(nil)

const (
	objectsDir = "objects"
	typesDir   = "types"
	tempDir    = "incoming"
	nameLength = 200
)

func (f *Files) Open(_ context.Context, bucket string) error {
	for _, dir := range []string{objectsDir, typesDir, tempDir} {
		if err := os.MkdirAll(filepath.Join(f.Root, bucket, dir), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// fileName ends every directory in a percent sign, which no escaped key ends in.
func fileName(key string) string {
	escaped := url.PathEscape(key)
	var parts []string
	for len(escaped) > nameLength {
		parts, escaped = append(parts, base64.RawURLEncoding.EncodeToString([]byte(escaped[:nameLength/2]))+"%"), escaped[nameLength/2:]
	}
	return filepath.Join(append(parts, escaped)...)
}

func keyOf(name string) (string, error) {
	parts := strings.Split(filepath.ToSlash(name), "/")
	var escaped strings.Builder
	for _, p := range parts[:len(parts)-1] {
		cut, err := base64.RawURLEncoding.DecodeString(strings.TrimSuffix(p, "%"))
		if err != nil {
			return "", err
		}
		escaped.Write(cut)
	}
	escaped.WriteString(parts[len(parts)-1])
	return url.PathUnescape(escaped.String())
}

func (f *Files) path(bucket, kind, key string) string {
	return filepath.Join(f.Root, bucket, kind, fileName(key))
}

func (f *Files) Put(ctx context.Context, bucket, key string, r io.Reader, opts PutOptions) (err error) {
	temp, err := os.CreateTemp(filepath.Join(f.Root, bucket, tempDir), "put-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // renamed away if all went well
	_, err = io.Copy(temp, r)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	path := f.path(bucket, objectsDir, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if opts.NotExists {
		if err := os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) {
			return ErrExists
		} else if err != nil {
			return err
		}
	} else if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return f.putType(bucket, key, opts.ContentType)
}

func (f *Files) putType(bucket, key, contentType string) error {
	path := f.path(bucket, typesDir, key)
	if contentType == "" {
		return ignoreMissing(os.Remove(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(contentType), 0o600)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (f *Files) Get(_ context.Context, bucket, key string) (io.ReadCloser, error) {
	file, err := os.Open(f.path(bucket, objectsDir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	return file, err
}

func (f *Files) Stat(_ context.Context, bucket, key string) (Attrs, error) {
	info, err := os.Stat(f.path(bucket, objectsDir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return Attrs{}, ErrNotFound
	}
	if err != nil {
		return Attrs{}, err
	}
	contentType, err := os.ReadFile(f.path(bucket, typesDir, key))
	a := attrs(key, info)
	a.ContentType = string(contentType)
	return a, ignoreMissing(err)
}

func attrs(key string, info fs.FileInfo) Attrs {
	return Attrs{Key: key, Size: info.Size(), ETag: fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())}
}

func (f *Files) List(ctx context.Context, bucket, prefix string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		found, err := f.walk(ctx, bucket, prefix)
		if err != nil {
			yield(Attrs{}, err)
			return
		}
		for _, a := range found {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (f *Files) walk(ctx context.Context, bucket, prefix string) ([]Attrs, error) {
	root := filepath.Join(f.Root, bucket, objectsDir)
	var found []Attrs
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		key, err := keyOf(name)
		if err != nil {
			return fmt.Errorf("%s is no object: %w", path, err)
		}
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreMissing(err) // removed meanwhile
		}
		found = append(found, attrs(key, info))
		return nil
	})
	slices.SortFunc(found, func(a, b Attrs) int { return strings.Compare(a.Key, b.Key) })
	return found, err
}

func (f *Files) Remove(_ context.Context, bucket, key string) error {
	return errors.Join(
		ignoreMissing(os.Remove(f.path(bucket, objectsDir, key))),
		ignoreMissing(os.Remove(f.path(bucket, typesDir, key))))
}

func (f *Files) Health(_ context.Context, bucket string) error {
	_, err := os.Stat(filepath.Join(f.Root, bucket))
	return err
}
