//go:build stockhost

package server

import (
	"net/http"
	"testing"

	"encore.dev/beta/errs"
)

func TestTheAppSeesTheHopThatTheListenerSaw(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peer    string
		earlier []string
		want    string
	}{
		{"192.0.2.1:999", nil, "192.0.2.1"},
		{"[2001:db8::1]:999", nil, "2001:db8::1"},
		{"192.0.2.1:999", []string{"10.0.0.1"}, "10.0.0.1, 192.0.2.1"},
		{"192.0.2.1:999", []string{"10.0.0.1", "10.0.0.2, 10.0.0.3"}, "10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.1"},
		{"", nil, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.earlier != nil {
			r.Header["X-Forwarded-For"] = c.earlier
		}
		addHop(r)
		if got := r.Header.Get("X-Forwarded-For"); got != c.want {
			t.Errorf("%s after %q: %q, want %q", c.peer, c.earlier, got, c.want)
		}
	}
}

type appDetails struct{ ID string }

func (appDetails) ErrDetails() {}

func (d appDetails) WithRequestID(id string) errs.ErrDetails { return appDetails{ID: id} }

type plainDetails struct{ ID string }

func (plainDetails) ErrDetails() {}

func TestAnErrorOfTheAppNamesTheRequestIfItWantsTo(t *testing.T) {
	t.Parallel()
	if got := withRequestID(&errs.Error{Details: appDetails{}}, "id").Details; got != (appDetails{ID: "id"}) {
		t.Errorf("got %+v", got)
	}
	if got := withRequestID(&errs.Error{Details: plainDetails{}}, "id").Details; got != (plainDetails{}) {
		t.Errorf("got %+v", got)
	}
	if got := withRequestID(errNotFound, "id").Details.(*problem); got.RequestID != "id" || errNotFound.Details.(*problem).RequestID != "" {
		t.Errorf("got %+v", got)
	}
}
