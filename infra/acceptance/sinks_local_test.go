//go:build acceptance && local

package acceptance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// From a change over the log to the organisation's own system: every event once, signed, in numbers
// without a gap.
func TestEventsReachASink(t *testing.T) {
	t.Setenv("SINKS_ALLOW_PRIVATE", "true")
	a := start(t, scratch(t), "")
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	var mu sync.Mutex
	var seqs []int64
	events := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, r.Header.Get("webhook-id")+"."+r.Header.Get("webhook-timestamp")+"."+string(body))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("signature %q, want %q", r.Header.Get("webhook-signature"), want)
		}
		var e struct {
			ID   string
			Data struct{ Seq int64 }
		}
		if err := json.Unmarshal(body, &e); err != nil || e.ID != r.Header.Get("webhook-id") {
			t.Errorf("%v: %s", err, body)
		}
		mu.Lock()
		defer mu.Unlock()
		events[e.ID]++
		seqs = append(seqs, e.Data.Seq)
	}))
	t.Cleanup(receiver.Close)
	body := map[string]any{"url": receiver.URL + "/hook", "secret": secret}
	s := want[auditSink](t, at(a, t, adaOrg, "POST", sinksPath, body), http.StatusCreated)
	const changes = 10
	for range changes {
		if tryCreate(a, t, unique("sink")) == "" {
			t.Fatal("no project was made")
		}
	}
	eventually(t, 30*time.Second, "every change is there", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(events) >= changes+1 // and that the sink was made
	})
	mu.Lock()
	slices.Sort(seqs)
	for i, seq := range seqs {
		if seq != seqs[0]+int64(i) {
			t.Errorf("numbers %v: a gap or one twice", seqs)
			break
		}
	}
	for id, n := range events {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	mu.Unlock()
	page := want[list[struct{ Status string }]](t, at(a, t, adaOrg, "GET", sinksPath+"/"+s.ID+"/deliveries?status=delivered", nil), http.StatusOK)
	if len(page.Items) < changes {
		t.Errorf("%d deliveries in the log", len(page.Items))
	}
}
