// Package objectstore keeps the objects of buckets: as files, in an S3 store, or
// in memory for tests. One conformance suite holds all three to the same rules.
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	ErrNotFound   = errors.New("object does not exist")
	ErrExists     = errors.New("object exists")
	ErrInvalidKey = errors.New("invalid object name")
)

// Attrs describes an object.
type Attrs struct {
	Key         string
	ContentType string
	Size        int64
	ETag        string
}

// PutOptions says how to write an object.
type PutOptions struct {
	ContentType string
	NotExists   bool // ErrExists if there is one
}

// Store keeps objects. Keys have passed [CheckKey].
type Store interface {
	// Open makes a bucket ready.
	Open(ctx context.Context, bucket string) error
	// Put writes the object that r gives; it appears whole or, on an error of r, not at all.
	Put(ctx context.Context, bucket, key string, r io.Reader, opts PutOptions) error
	// Get opens an object.
	Get(ctx context.Context, bucket, key string) (io.ReadCloser, error)
	// Stat describes an object. Only Stat tells its content type.
	Stat(ctx context.Context, bucket, key string) (Attrs, error)
	// List gives the objects whose keys begin with prefix, in the order of their keys.
	List(ctx context.Context, bucket, prefix string) iter.Seq2[Attrs, error]
	// Remove removes an object, if it exists.
	Remove(ctx context.Context, bucket, key string) error
	// Health says what is wrong with an open bucket, if anything.
	Health(ctx context.Context, bucket string) error
}

const maxKey = 1024 // bytes, as in S3

// CheckKey refuses keys that some store would not keep apart from another, or
// that could lead out of a bucket.
func CheckKey(key string) error {
	problem := ""
	switch {
	case key == "":
		problem = "it is empty"
	case len(key) > maxKey:
		problem = fmt.Sprintf("it is longer than %d bytes", maxKey)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		problem = "it has characters that are no text"
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." || segment == "" {
			problem = `it has an empty, "." or ".." segment`
		}
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalidKey, problem)
}
