package stripe

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// failure is an error as Stripe sends it.
type failure struct {
	status              int
	kind, code, message string
}

func (f *failure) Error() string { return f.message }

func noSuch(what, id string) *failure {
	return &failure{http.StatusNotFound, "invalid_request_error", "resource_missing", fmt.Sprintf("No such %s: '%s'", what, id)}
}

func wrong(format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, "invalid_request_error", "", fmt.Sprintf(format, args...)}
}

// answer is what an idempotency key has.
type answer struct {
	request string
	status  int
	body    []byte
}

// call serves one request of the API, under the server's lock.
type call func(r *http.Request, form url.Values) (object, error)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]call{
		"POST /v1/customers":                             s.createCustomer,
		"GET /v1/customers":                              s.listCustomers,
		"GET /v1/customers/{id}":                         s.readCustomer,
		"POST /v1/customers/{id}":                        s.updateCustomer,
		"DELETE /v1/customers/{id}":                      s.deleteCustomer,
		"GET /v1/products":                               s.listProducts,
		"GET /v1/prices":                                 s.listPrices,
		"POST /v1/subscriptions":                         s.createSubscription,
		"GET /v1/subscriptions":                          s.listSubscriptions,
		"GET /v1/subscriptions/{id}":                     s.readSubscription,
		"POST /v1/subscriptions/{id}":                    s.updateSubscription,
		"DELETE /v1/subscriptions/{id}":                  s.cancelSubscription,
		"GET /v1/subscription_items":                     s.listItems,
		"POST /v1/checkout/sessions":                     s.createSession,
		"GET /v1/checkout/sessions/{id}":                 s.readSession,
		"POST /v1/billing_portal/sessions":               s.createPortal,
		"GET /v1/events":                                 s.listEvents,
		"POST /v1/webhook_endpoints":                     s.createEndpoint,
		"POST /v1/test_helpers/test_clocks":              s.createClock,
		"GET /v1/test_helpers/test_clocks/{id}":          s.readClock,
		"POST /v1/test_helpers/test_clocks/{id}/advance": s.advanceClock,
	} {
		mux.Handle(pattern, s.api(serve))
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		write(w, (&failure{http.StatusNotFound, "invalid_request_error", "", "Unrecognized request URL"}).object(), http.StatusNotFound)
	})
	s.pages(mux)
	return mux
}

func (f *failure) object() object {
	e := object{"type": f.kind, "message": f.message}
	if f.code != "" {
		e["code"] = f.code
	}
	return object{"error": e}
}

// api authenticates, repeats what an idempotency key has, and serves.
func (s *Server) api(serve call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case s.down:
			f := &failure{http.StatusServiceUnavailable, "api_error", "", "Stripe is down"}
			write(w, f.object(), f.status)
			return
		case subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.Key)) != 1:
			f := &failure{http.StatusUnauthorized, "invalid_request_error", "", "Invalid API Key provided"}
			write(w, f.object(), f.status)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		if err := r.ParseForm(); err != nil {
			write(w, wrong("the form cannot be read").object(), http.StatusBadRequest)
			return
		}
		idempotency := r.Header.Get("Idempotency-Key")
		request := r.Method + r.URL.Path + "?" + r.Form.Encode()
		if kept, ok := s.answered[idempotency]; ok && idempotency != "" {
			if kept.request != request {
				f := &failure{http.StatusBadRequest, "idempotency_error", "", "Keys for idempotent requests can only be used with the same parameters they were first used with."}
				write(w, f.object(), f.status)
				return
			}
			w.Header().Set("Idempotent-Replayed", "true")
			send(w, kept.body, kept.status)
			return
		}
		out := httptest.NewRecorder()
		body, err := serve(r, r.Form)
		if f, ok := err.(*failure); ok {
			write(out, f.object(), f.status)
		} else {
			write(out, body, http.StatusOK)
		}
		if idempotency != "" && r.Method == http.MethodPost {
			s.answered[idempotency] = answer{request, out.Code, out.Body.Bytes()}
		}
		if r.Method != http.MethodGet {
			s.save()
		}
		send(w, out.Body.Bytes(), out.Code)
	})
}

func write(w http.ResponseWriter, body object, status int) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // objects are strings and numbers
	}
	send(w, text, status)
}

func send(w http.ResponseWriter, body []byte, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// list cuts a page out of objects that are sorted as Stripe does, the newest first.
func list(form url.Values, path string, all []object) (object, error) {
	limit := 10
	if text := form.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return nil, wrong("limit must be from 1 to 100")
		}
		limit = n
	}
	if after := form.Get("starting_after"); after != "" {
		i := slices.IndexFunc(all, func(o object) bool { return o["id"] == after })
		if i < 0 {
			return nil, noSuch("object", after)
		}
		all = all[i+1:]
	}
	more := len(all) > limit
	return object{"object": "list", "url": path, "has_more": more, "data": all[:min(limit, len(all))]}, nil
}

// group reads name[key]=value parameters.
func group(form url.Values, name string) map[string]string {
	out := map[string]string{}
	for key := range form {
		if rest, ok := strings.CutPrefix(key, name+"["); ok {
			if inner, ok := strings.CutSuffix(rest, "]"); ok && !strings.Contains(inner, "[") {
				out[inner] = form.Get(key)
			}
		}
	}
	return out
}
