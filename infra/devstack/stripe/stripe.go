// Package stripe stands in for Stripe in development and tests: customers, the catalogue's products
// and prices, subscriptions, checkout and portal pages, signed webhooks, a clock that can be moved,
// and what goes wrong at the real one: outages ([Server.Outage]), deliveries that come twice or in
// another order ([Disturb]), lists that have pages.
//
// It keeps to the shapes of Stripe's API as far as the app and its tests use it, and moves no money.
// It listens for nobody but this machine, and refuses to exist outside development and tests.
package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"

	"encore.app/licensing/catalogue"
)

// Config is what a Server needs.
type Config struct {
	AppEnv    string
	BaseURL   string // where browsers and the app reach it
	Key       string // the API key that callers show
	Secret    string // signs webhooks
	StateFile string // "" keeps nothing
	Catalogue *catalogue.Catalogue
	Now       func() time.Time
	Logf      func(format string, args ...any)
}

// Server is the stand-in.
type Server struct {
	cfg     Config
	handler http.Handler
	sender  *sender

	mu       sync.Mutex
	state    state
	byID     map[string]*customer
	answered map[string]answer // by idempotency key
	down     bool
	prices   []price
}

// state is what outlives the process.
type state struct {
	Seq       int           // of the next id
	Skew      time.Duration // of the clock
	Customers []*customer   // the oldest first
	Sessions  []*session
	Endpoints []string
	Events    []Event // not kept: what was said is said
}

// New makes the stand-in, as it was left where there is a state file.
func New(cfg Config) (*Server, error) {
	switch cfg.AppEnv {
	case "", "dev", "test":
	default:
		return nil, fmt.Errorf("stripe: the stand-in is for development and tests, not for APP_ENV %q", cfg.AppEnv)
	}
	if cfg.Key == "" || cfg.Secret == "" || cfg.Catalogue == nil {
		return nil, errors.New("stripe: a key, a secret and a catalogue are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	s := &Server{cfg: cfg, byID: map[string]*customer{}, answered: map[string]answer{}, prices: pricesOf(cfg.Catalogue)}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.sender = startSender(cfg.Secret, cfg.Logf)
	s.handler = s.routes()
	return s, nil
}

// Handler serves the API and the pages.
func (s *Server) Handler() http.Handler { return s.handler }

// Close stops delivering webhooks.
func (s *Server) Close() { s.sender.close() }

// Notify has every event from now on delivered to urls, and nowhere else.
func (s *Server) Notify(urls ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Endpoints = urls
	s.save()
}

// Outage makes the API answer 503, or ends that. Events go on to be delivered.
func (s *Server) Outage(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = on
}

// now is the stand-in's clock.
func (s *Server) now() time.Time { return s.cfg.Now().Add(s.state.Skew).UTC() }

// id makes an id of Stripe's form.
func (s *Server) id(prefix string) string {
	s.state.Seq++
	return fmt.Sprintf("%s_%s%08d", prefix, "dev", s.state.Seq)
}

func (s *Server) load() error {
	if s.cfg.StateFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.cfg.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s.state)
	}
	if err != nil {
		return fmt.Errorf("stripe: %s: %w", s.cfg.StateFile, err)
	}
	for _, c := range s.state.Customers {
		s.byID[c.ID] = c
	}
	return nil
}

// save writes the state where it is to be kept. What cannot be kept is said and served all the same.
func (s *Server) save() {
	if s.cfg.StateFile == "" {
		return
	}
	kept := s.state
	kept.Events = nil
	text, err := json.Marshal(kept)
	if err == nil {
		draft := s.cfg.StateFile + ".new"
		if err = os.WriteFile(draft, text, 0o600); err == nil {
			err = os.Rename(draft, s.cfg.StateFile)
		}
	}
	if err != nil {
		s.cfg.Logf("stripe: the state is not kept: %v", err)
	}
}
