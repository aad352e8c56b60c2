package ops

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func answers(context.Context) error { return nil }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestReadyzSaysWhatIsAway(t *testing.T) {
	t.Parallel()
	away := func(context.Context) error { return errors.New("canary: password wrong") }
	for name, c := range map[string]struct {
		parts  []part
		status string
		code   int
	}{
		"all there":           {[]part{{name: "a", required: true, ping: answers}, {name: "b", ping: answers}, {name: "c"}}, "ready", http.StatusOK},
		"one can be missed":   {[]part{{name: "a", required: true, ping: answers}, {name: "b", ping: away}}, "degraded", http.StatusOK},
		"one cannot":          {[]part{{name: "a", required: true, ping: away}, {name: "b", ping: answers}}, "unavailable", http.StatusServiceUnavailable},
		"neither":             {[]part{{name: "b", ping: away}, {name: "a", required: true, ping: away}}, "unavailable", http.StatusServiceUnavailable},
		"one does not answer": {[]part{{name: "a", required: true, ping: hangs}}, "unavailable", http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got, err := (&Service{parts: c.parts}).Readyz(context.Background())
			if err != nil || got.Status != c.status || got.HTTPStatus != c.code || len(got.Parts) != len(c.parts) {
				t.Errorf("got %+v, %v", got, err)
			}
			for _, p := range got.Parts {
				if p.Status == partUnavailable && p.Detail != "does not answer" {
					t.Errorf("a part's own words left: %q", p.Detail)
				}
			}
			if took := time.Since(start); took > readyWithin+2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestMetricsWantTheToken(t *testing.T) {
	before := secrets.OPS_TOKEN
	t.Cleanup(func() { secrets.OPS_TOKEN = before })
	secrets.OPS_TOKEN = "right"
	for header, want := range map[string]int{
		"": http.StatusUnauthorized, "Bearer wrong": http.StatusUnauthorized, "Bearer ": http.StatusUnauthorized,
		"right": http.StatusUnauthorized, "Bearer right": http.StatusOK,
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		w := httptest.NewRecorder()
		(&Service{}).Metrics(w, r)
		if w.Code != want {
			t.Errorf("%q: got %d, want %d", header, w.Code, want)
		}
	}
}
