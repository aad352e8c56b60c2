//go:build stockhost

package middleware

import (
	"context"
	"testing"

	encore "encore.dev"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	type key struct{}
	data := &encore.Request{Service: "orgs"}
	req := NewRequest(t.Context(), data)
	other := req.WithContext(context.WithValue(t.Context(), key{}, 1))
	if req.Data() != data || other.Data() != data || req.Context() != t.Context() || other.Context().Value(key{}) != 1 {
		t.Error("a request keeps its data and takes its own context")
	}
	var resp Response
	resp.Header().Set("A", "b")
	if resp.Header().Get("A") != "b" {
		t.Error("headers are lost")
	}
}
