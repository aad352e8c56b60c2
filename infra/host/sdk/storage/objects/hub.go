package objects

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"encore.dev/internal/appinfo"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/objectstore"
	"encore.dev/internal/part"
)

const (
	urlVariable = "OBJECT_STORE_URL"
	defaultURL  = "file://.dev/objects"
	openTimeout = 10 * time.Second
)

// hub holds the buckets of an app and the store they are in.
type hub struct {
	mu       sync.Mutex
	buckets  map[string]*Bucket
	problems []error // of declarations, told when the app starts
	store    objectstore.Store
}

// process is the hub of this process's packages.
var process hub

func init() {
	lifecycle.Add(lifecycle.Component{
		Name:   "buckets",
		Stage:  lifecycle.Resources,
		Start:  process.start,
		Health: process.health,
	})
}

func (h *hub) named(name string) *Bucket {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.buckets[name]
	if b == nil {
		if h.buckets == nil {
			h.buckets = map[string]*Bucket{}
		}
		b = &Bucket{hub: h, name: name}
		h.buckets[name] = b
	}
	return b
}

func (h *hub) declare(name string, cfg BucketConfig) *Bucket {
	b := h.named(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if cfg.Public || cfg.Versioned {
		h.problems = append(h.problems, fmt.Errorf("bucket %q: this host has no public or versioned buckets", name))
	}
	return b
}

// open gives the store: the one that start made, or in tests one in memory.
func (h *hub) open() (objectstore.Store, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.store == nil {
		if !testing.Testing() {
			return nil, errors.New("objects: the app has not started")
		}
		h.store = &objectstore.Memory{}
	}
	return h.store, nil
}

// names lists the buckets.
func (h *hub) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for name := range h.buckets {
		names = append(names, name)
	}
	return names
}

func (h *hub) start(ctx context.Context) error {
	h.mu.Lock()
	problems := errors.Join(h.problems...)
	h.mu.Unlock()
	names := h.names()
	if problems != nil || len(names) == 0 {
		return problems
	}
	raw, _, err := part.Setting(urlVariable)
	if err != nil {
		return err
	}
	if raw == "" && appinfo.CurrentEnv().Deployed() {
		return &part.Error{Part: "Object store", Variable: urlVariable, Problem: "is not set; files under .dev are for development"}
	}
	store, err := newStore(raw)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for _, name := range names {
		if err := store.Open(ctx, name); err != nil {
			return &part.Error{Part: "Object store", Variable: urlVariable, Problem: fmt.Sprintf("names a store that cannot be used (bucket %q)", name), Err: err}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.store = store
	return nil
}

func newStore(raw string) (objectstore.Store, error) {
	if raw == "" {
		raw = defaultURL
	}
	bad := &part.Error{Part: "Object store", Variable: urlVariable, Problem: "is neither file://directory nor s3://key:secret@host:port/bucket-prefix?region=…&tls=…"}
	u, err := url.Parse(raw) // its message quotes the URL
	if err != nil {
		return nil, bad
	}
	switch u.Scheme {
	case "file":
		if dir := u.Host + u.Path; dir != "" { // the host is the first part of a relative directory
			return &objectstore.Files{Root: dir}, nil
		}
	case "s3":
		if s, err := objectstore.NewS3(u); err == nil {
			return s, nil
		}
	}
	return nil, bad
}

func (h *hub) health(ctx context.Context) error {
	h.mu.Lock()
	store := h.store
	h.mu.Unlock()
	if store == nil {
		return nil
	}
	var errs []error
	for _, name := range h.names() {
		errs = append(errs, store.Health(ctx, name))
	}
	return errors.Join(errs...)
}
