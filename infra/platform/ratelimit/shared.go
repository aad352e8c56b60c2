package ratelimit

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// gcra counts one unit of each key: ARGV holds, key by key, how long a unit and a window take, in
// microseconds. What is stored is the moment at which the bucket is full again. The time is Redis's, so
// that replicas need not agree on theirs. One script for all keys, because a request is counted against
// several limits and a round trip for each is most of what they cost.
var gcra = redis.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local out = {}
for i, key in ipairs(KEYS) do
  local unit, window = tonumber(ARGV[2*i-1]), tonumber(ARGV[2*i])
  local full = math.max(tonumber(redis.call('GET', key) or 0), now)
  local wait = full + unit - now - window
  if wait > 0 then
    out[2*i-1], out[2*i] = full - now, wait
  else
    full = full + unit
    redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
    out[2*i-1], out[2*i] = full - now, 0
  end
end
return out`)

func takeShared(ctx context.Context, r redis.Scripter, counts []Count) ([]Verdict, error) {
	keys, args := make([]string, len(counts)), make([]any, 0, 2*len(counts))
	for i, c := range counts {
		keys[i] = c.key()
		args = append(args, c.Policy.unit().Microseconds(), c.Policy.Window.Microseconds())
	}
	got, err := gcra.Run(ctx, r, keys, args...).Int64Slice()
	if err != nil || len(got) != 2*len(counts) {
		return nil, fmt.Errorf("ratelimit: Redis answered %d numbers: %w", len(got), err)
	}
	out := make([]Verdict, len(counts))
	for i, c := range counts {
		reset, wait := time.Duration(got[2*i])*time.Microsecond, time.Duration(got[2*i+1])*time.Microsecond
		out[i] = c.Policy.verdict(reset, wait)
	}
	return out, nil
}

// verdict is what a bucket that is full again after reset says, to a unit that has to wait.
func (p Policy) verdict(reset, wait time.Duration) Verdict {
	if wait > 0 {
		return Verdict{Limited: true, Reset: reset, RetryAfter: wait}
	}
	return Verdict{Remaining: int((p.Window - reset) / p.unit()), Reset: reset}
}
