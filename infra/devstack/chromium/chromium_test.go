package chromium

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"value":{"ready":true,"build":{"version":"156.0.1 (abc)"}}}`: "156.0.1",
		`{"value":{"ready":false}}`:                                    "",
		`<html>`:                                                       "",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		t.Cleanup(server.Close)
		got, err := Version(t.Context(), server.URL+"/")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
}
