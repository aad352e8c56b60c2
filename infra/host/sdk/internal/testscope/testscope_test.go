//go:build stockhost

package testscope

import "testing"

func TestCurrent(t *testing.T) {
	t.Parallel()
	const want = "encore.dev/internal/testscope.TestCurrent"
	if got := Current(); got != want {
		t.Fatalf("in the test: %q", got)
	}
	t.Run("sub", func(t *testing.T) {
		t.Parallel()
		if got := Current(); got != want {
			t.Errorf("in a subtest: %q", got)
		}
	})
	away := make(chan string)
	go func() { away <- Current() }()
	if got := <-away; got != "" {
		t.Errorf("on another goroutine: %q", got)
	}
}
