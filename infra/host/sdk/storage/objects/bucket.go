package objects

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"encore.dev/internal/objectstore"
)

var (
	// ErrObjectNotFound is returned for an object that does not exist.
	ErrObjectNotFound = errors.New("objects: object doesn't exist")

	// ErrPreconditionFailed is returned where a precondition does not hold.
	ErrPreconditionFailed = errors.New("objects: precondition failed")

	// ErrInvalidArgument is returned for an argument that no operation takes.
	ErrInvalidArgument = errors.New("objects: invalid argument")
)

// BucketConfig configures a bucket.
type BucketConfig struct {
	Public    bool // not supported by this host: the app refuses to start
	Versioned bool // not supported by this host: the app refuses to start
}

// Bucket holds objects by name. A name is up to 1024 bytes of text; between
// its slashes there is something, and neither "." nor "..".
type Bucket struct {
	hub  *hub
	name string
}

// constStr can only be given as a constant.
type constStr string

// NewBucket declares a bucket. It is for package variables.
func NewBucket(name string, cfg BucketConfig) *Bucket { return process.declare(name, cfg) }

// Named returns the bucket that another package declared.
func Named(name constStr) *Bucket { return process.named(string(name)) }

// store checks an object's name and gives what it is to be found in.
func (b *Bucket) store(object string) (objectstore.Store, error) {
	if err := objectstore.CheckKey(object); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidArgument, err)
	}
	return b.hub.open()
}

// ObjectAttrs describes an object.
type ObjectAttrs struct {
	Name        string
	Version     string // always ""
	ContentType string
	Size        int64
	ETag        string
}

// Attrs describes an object.
func (b *Bucket) Attrs(ctx context.Context, object string, options ...AttrsOption) (*ObjectAttrs, error) {
	s, err := b.store(object)
	if err != nil {
		return nil, err
	}
	a, err := s.Stat(ctx, b.name, object)
	if err != nil {
		return nil, convert(err)
	}
	return &ObjectAttrs{Name: a.Key, ContentType: a.ContentType, Size: a.Size, ETag: a.ETag}, nil
}

// Exists reports whether an object exists.
func (b *Bucket) Exists(ctx context.Context, object string, options ...ExistsOption) (bool, error) {
	_, err := b.Attrs(ctx, object)
	if errors.Is(err, ErrObjectNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Remove removes an object. It is no error if there is none.
func (b *Bucket) Remove(ctx context.Context, object string, options ...RemoveOption) error {
	s, err := b.store(object)
	if err != nil {
		return err
	}
	return convert(s.Remove(ctx, b.name, object))
}

// Query says what to list.
type Query struct {
	Prefix string // of the names
	Limit  int64  // at most so many; 0 is all
}

// ListEntry is an object in a list.
type ListEntry struct {
	Name string
	Size int64
	ETag string
}

// List lists objects in the order of their names.
func (b *Bucket) List(ctx context.Context, query *Query, options ...ListOption) iter.Seq2[*ListEntry, error] {
	return func(yield func(*ListEntry, error) bool) {
		s, err := b.hub.open()
		if err != nil {
			yield(nil, err)
			return
		}
		n := int64(0)
		for a, err := range s.List(ctx, b.name, query.Prefix) {
			if err != nil {
				yield(nil, convert(err))
				return
			}
			if n++; !yield(&ListEntry{Name: a.Key, Size: a.Size, ETag: a.ETag}, nil) || n == query.Limit {
				return
			}
		}
	}
}

// convert gives errors of the store their form in this package.
func convert(err error) error {
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return ErrObjectNotFound
	case errors.Is(err, objectstore.ErrExists):
		return ErrPreconditionFailed
	}
	return err
}
