// Package capture keeps what tests publish: in a test binary no message is
// delivered, and et.Topic shows what would have been.
package capture

import (
	"sync"

	"encore.dev/internal/testscope"
)

var (
	mu       sync.Mutex
	captured = map[string][]entry{}
)

type entry struct {
	test string
	msg  any
}

// Add records a message for the test that runs.
func Add(topic string, msg any) {
	test := testscope.Current()
	mu.Lock()
	defer mu.Unlock()
	captured[topic] = append(captured[topic], entry{test: test, msg: msg})
}

// Messages returns what the running test published on a topic, oldest first,
// and what came from goroutines that cannot be said to be of any test.
func Messages(topic string) []any {
	test := testscope.Current()
	mu.Lock()
	defer mu.Unlock()
	var list []any
	for _, e := range captured[topic] {
		if e.test == test || e.test == "" || test == "" {
			list = append(list, e.msg)
		}
	}
	return list
}
