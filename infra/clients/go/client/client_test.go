package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// server answers in turn, and tells the keys that it was sent.
func server(t *testing.T, answers ...int) (c *Client, keys func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		status := answers[min(len(seen), len(answers)-1)]
		seen = append(seen, r.Header.Get("Idempotency-Key"))
		w.WriteHeader(status)
		if status >= 400 {
			_, _ = w.Write([]byte(`{"code":"unavailable","message":"m","details":{"reason":"dependency_unavailable","request_id":"r"}}`))
		} else {
			_, _ = w.Write([]byte(`{"id":"1"}`))
		}
	}))
	t.Cleanup(s.Close)
	return New(s.URL+"/", "token"), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestAKeyedCallIsRepeatedUnderOneKey(t *testing.T) {
	t.Parallel()
	c, keys := server(t, 503, 429, 200)
	var out struct{ ID string }
	if err := c.Do(t.Context(), Call{Method: "POST", Path: "/", Keyed: true}, &out); err != nil || out.ID != "1" {
		t.Fatalf("got %+v, %v", out, err)
	}
	if got := keys(); len(got) != 3 || got[0] == "" || got[0] != got[1] || got[1] != got[2] {
		t.Errorf("keys: %q", got)
	}
}

func TestWhatIsNotSafeToRepeatIsNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call   Call
		status int
	}{
		"a write without a key": {Call{Method: "POST", Path: "/"}, 503},
		"a failure":             {Call{Method: "GET", Path: "/"}, 500},
		"a refusal":             {Call{Method: "POST", Path: "/", Keyed: true}, 403},
	} {
		api, keys := server(t, c.status)
		err := api.Do(t.Context(), c.call, nil)
		var e *Error
		if !errors.As(err, &e) || e.Status != c.status || Reason(err) != "dependency_unavailable" || e.Details.RequestID != "r" {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(keys()); n != 1 {
			t.Errorf("%s was sent %d times", name, n)
		}
	}
}

func TestAllWalksEveryPage(t *testing.T) {
	t.Parallel()
	pages := map[string][]int{"": {1, 2}, "b": {3}}
	next := map[string]string{"": "b"}
	var got []int
	for v, err := range All(func(cursor string) ([]int, string, error) { return pages[cursor], next[cursor], nil }) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	for _, err := range All(func(string) ([]int, string, error) { return nil, "", errors.New("away") }) {
		if err == nil {
			t.Error("a failure was not told")
		}
	}
}
