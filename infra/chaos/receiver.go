package main

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// receiver is an organisation's own system. It has the effect of an event once, by its id, as
// Standard Webhooks asks of receivers.
type receiver struct {
	name   string
	server *httptest.Server
	from   int64 // number of the first event that it is to get

	mu      sync.Mutex
	calls   int
	effects map[string]int64 // event → its number in the log
	refused map[string]bool
}

type receivers []*receiver

// addSinks makes two sinks: one whose receiver is well, and one whose receiver is slow now and then and
// refuses some events the first time.
func addSinks(ctx context.Context, s *stack) (list receivers, err error) {
	for _, name := range []string{"well", "flaky"} {
		r := &receiver{name: name, effects: map[string]int64{}, refused: map[string]bool{}}
		r.server = httptest.NewServer(r)
		list = append(list, r)
		var made struct {
			NextSeq int64 `json:"next_seq"`
		}
		err := s.call(ctx, "ada@acme.test", "org-console", "POST", "/api/v1/org/"+acme+"/audit/sinks",
			map[string]any{"url": r.server.URL + "/" + name}, &made, http.StatusCreated)
		if err != nil {
			list.close()
			return nil, err
		}
		r.from = made.NextSeq
	}
	return list, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var e struct {
		ID   string
		Data struct{ Seq int64 }
	}
	if err != nil || json.Unmarshal(body, &e) != nil || e.ID != req.Header.Get("webhook-id") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.name == "flaky" && rand.IntN(50) == 0 {
		<-time.After(rand.N(2 * time.Second))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.name == "flaky" && !r.refused[e.ID] && rand.IntN(20) == 0 {
		r.refused[e.ID] = true
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.effects[e.ID] = e.Data.Seq
}

func (list receivers) close() {
	for _, r := range list {
		r.server.Close()
	}
}
