package broker

import (
	"math/rand/v2"
	"time"
)

// Ladder is the delays after which a message may return to its queue, rising. A broker keeps one queue
// a rung, because a message with a delay of its own would wait behind longer ones.
type Ladder []time.Duration

// After is the delay that follows a failed attempt: two rungs a step and one of the two at random, so
// that what failed together does not come back together. It stays on the last two.
func (l Ladder) After(attempt int) time.Duration {
	low := min(2*(attempt-1), len(l)-2)
	if low < 0 {
		return l[0]
	}
	return l[low+rand.IntN(2)]
}

// rung is the lowest rung that is no shorter than delay, or the last.
func (l Ladder) rung(delay time.Duration) time.Duration {
	for _, d := range l {
		if d >= delay {
			return d
		}
	}
	return l[len(l)-1]
}
