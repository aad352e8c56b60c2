package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// writers share the load, so that none of them is over the limit of a caller.
var writers = []string{"ada@acme.test", "alan@acme.test", "grace@acme.test", "bob@acme.test"}

// noisy asks for more than its organisation's tier allows, whatever the others do.
const noisy = "eve@globex.test"

const (
	// tokenFor is how long a token is used; the issuer's live longer.
	tokenFor = time.Minute
	// inFlight bounds the changes that wait for their answer while a part is dead.
	inFlight = 400
	// noisyRate is how many reads a second the noisy caller attempts: five times what a free tier has.
	noisyRate = 50
	// answeredWithin is how long the changes under way may take once nobody is killed any more.
	answeredWithin = 4 * time.Minute
)

// load makes changes until it is stopped. Each has an Idempotency-Key and is tried until it is
// answered; one in four is sent twice at once, as by a client that lost patience.
type load struct {
	stack  *stack
	cancel context.CancelFunc // ends new changes
	tries  context.Context    // of the changes under way
	giveUp context.CancelFunc
	done   sync.WaitGroup
	room   chan struct{}

	changes atomic.Int64 // also the number of the last one
	calls   atomic.Int64
	replays atomic.Int64 // answers that were kept from an earlier try

	mu         sync.Mutex
	tokens     map[string]string
	answers    map[string]map[string]bool // key → projects that it was answered with
	statuses   map[string]int             // other answers, by status and reason
	reads      map[int]int                // of the noisy caller, by status
	checkpoint string                     // an early one, to hold against the end
}

func startLoad(s *stack, rate int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{
		stack: s, cancel: cancel, room: make(chan struct{}, inFlight), tokens: map[string]string{},
		answers: map[string]map[string]bool{}, statuses: map[string]int{}, reads: map[int]int{},
	}
	l.tries, l.giveUp = context.WithCancel(context.Background())
	l.renew()
	l.every(l.tries, tokenFor, l.renew)
	l.every(ctx, time.Second/noisyRate, l.read)
	l.every(ctx, time.Second/time.Duration(rate), func() {
		select {
		case l.room <- struct{}{}:
		default: // enough is waiting
			return
		}
		n := l.changes.Add(1)
		copies := 1
		if rand.IntN(4) == 0 {
			copies = 2
		}
		l.done.Go(func() {
			defer func() { <-l.room }()
			var all sync.WaitGroup
			for range copies {
				all.Go(func() { l.change(n) })
			}
			all.Wait()
		})
	})
	return l
}

// every calls fn at an interval until ctx ends.
func (l *load) every(ctx context.Context, interval time.Duration, fn func()) {
	l.done.Go(func() {
		for tick := time.NewTicker(interval); ; {
			select {
			case <-tick.C:
				fn()
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	})
}

// renew gets new tokens; without one the old one is used on.
func (l *load) renew() {
	for _, user := range append(slices.Clone(writers), noisy) {
		if token, err := l.stack.signIn(user, "app"); err == nil {
			l.mu.Lock()
			l.tokens[user] = token
			l.mu.Unlock()
		}
	}
}

func (l *load) token(user string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokens[user]
}

// change creates a project, under one key, until it is answered. That a try fails is expected here;
// that it is answered with 201 binds the app.
func (l *load) change(n int64) {
	key := fmt.Sprintf("chaos-%d", n)
	user := writers[n%int64(len(writers))]
	pause := 200 * time.Millisecond
	for ; ; pause = min(2*pause, 4*time.Second) {
		wait, answered := l.try(user, key)
		if answered {
			return
		}
		select {
		case <-time.After(cmp.Or(wait, pause/2+rand.N(pause))):
		case <-l.tries.Done():
			return
		}
	}
}

// try sends a change once. wait is what the app asks for before the next try.
func (l *load) try(user, key string) (wait time.Duration, answered bool) {
	l.calls.Add(1)
	body, _ := json.Marshal(map[string]any{"title": key, "sensitivity": "internal", "pii": false}) // of strings: never fails
	req, err := http.NewRequest(http.MethodPost, l.stack.base+"/api/v1/app/orgs/"+acme+"/projects", bytes.NewReader(body))
	if err != nil {
		return 0, false
	}
	req.Header.Set("Authorization", "Bearer "+l.token(user))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := quick.Do(req)
	if err != nil {
		l.note("no answer")
		return 0, false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var answer struct {
		ID      string
		Details struct{ Reason string }
	}
	if err != nil || json.Unmarshal(text, &answer) != nil {
		l.note("half an answer")
		return 0, false
	}
	if resp.StatusCode != http.StatusCreated {
		l.note(strconv.Itoa(resp.StatusCode) + " " + answer.Details.Reason)
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, false
	}
	if resp.Header.Get("Idempotency-Replayed") == "true" {
		l.replays.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answers[key] == nil {
		l.answers[key] = map[string]bool{}
	}
	l.answers[key][answer.ID] = true
	return 0, true
}

func (l *load) note(status string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[status]++
}

// otherAnswers are those that were no 201, as text.
func (l *load) otherAnswers() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, status := range slices.Sorted(maps.Keys(l.statuses)) {
		all = append(all, fmt.Sprintf("%s: %d", status, l.statuses[status]))
	}
	return strings.Join(all, ", ")
}

// read is one read of the noisy caller.
func (l *load) read() {
	req, err := http.NewRequest(http.MethodGet, l.stack.base+"/api/v1/app/orgs/"+globex+"/projects?limit=1", nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+l.token(noisy))
	resp, err := quick.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads[resp.StatusCode]++
}

// keep keeps the first checkpoint that covers something.
func (l *load) keep() {
	if l.checkpoint != "" {
		return
	}
	var c struct{ Checkpoint string }
	if err := l.stack.call(context.Background(), "ada@acme.test", "org-console", "GET", "/api/v1/org/"+acme+"/audit/checkpoint", nil, &c, http.StatusOK); err == nil {
		l.checkpoint = c.Checkpoint
	}
}

// stop ends new changes and waits until those under way are answered.
func (l *load) stop() {
	l.cancel()
	for over := time.After(answeredWithin); len(l.room) > 0; {
		select {
		case <-over:
			l.giveUp()
		case <-time.After(time.Second):
		}
	}
	l.giveUp()
	l.done.Wait()
}
