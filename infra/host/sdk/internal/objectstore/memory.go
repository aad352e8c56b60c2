package objectstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory keeps objects for the life of a test binary. The zero value is empty.
type Memory struct {
	mu      sync.Mutex
	buckets map[string]map[string]object
}

var _ Store = (*Memory)(nil)

type object struct {
	data  []byte
	attrs Attrs
}

func (m *Memory) Open(context.Context, string) error { return nil }

func (m *Memory) Put(ctx context.Context, bucket, key string, r io.Reader, opts PutOptions) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.buckets[bucket][key]; exists && opts.NotExists {
		return ErrExists
	}
	if m.buckets == nil {
		m.buckets = map[string]map[string]object{}
	}
	if m.buckets[bucket] == nil {
		m.buckets[bucket] = map[string]object{}
	}
	m.buckets[bucket][key] = object{data: data, attrs: Attrs{
		Key: key, ContentType: opts.ContentType, Size: int64(len(data)), ETag: hex.EncodeToString(sum[:8]),
	}}
	return nil
}

func (m *Memory) find(bucket, key string) (object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.buckets[bucket][key]
	if !ok {
		return o, ErrNotFound
	}
	return o, nil
}

func (m *Memory) Get(_ context.Context, bucket, key string) (io.ReadCloser, error) {
	o, err := m.find(bucket, key)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(o.data)), nil
}

func (m *Memory) Stat(_ context.Context, bucket, key string) (Attrs, error) {
	o, err := m.find(bucket, key)
	return o.attrs, err
}

func (m *Memory) List(_ context.Context, bucket, prefix string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		for _, a := range m.list(bucket, prefix) {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (m *Memory) list(bucket, prefix string) []Attrs {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Attrs
	for key, o := range m.buckets[bucket] {
		if strings.HasPrefix(key, prefix) {
			found = append(found, o.attrs)
		}
	}
	slices.SortFunc(found, func(a, b Attrs) int { return strings.Compare(a.Key, b.Key) })
	return found
}

func (m *Memory) Remove(_ context.Context, bucket, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.buckets[bucket], key)
	return nil
}

func (m *Memory) Health(context.Context, string) error { return nil }
