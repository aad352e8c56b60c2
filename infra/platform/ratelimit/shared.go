package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// share is what one replica counted of one subject.
type share struct {
	key         string
	add, window time.Duration
}

// gcra moves on the moment at which each bucket is full, and says how far off it is. The time is Redis's,
// so that replicas need not agree on theirs. A bucket can be overdrawn by what replicas counted at once,
// but by no more than another window.
var gcra = redis.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local out = {}
for i, key in ipairs(KEYS) do
  local add, window = tonumber(ARGV[2*i-1]), tonumber(ARGV[2*i])
  local full = math.max(tonumber(redis.call('GET', key) or 0), now)
  full = math.min(full + add, now + 2 * window)
  redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
  out[i] = full - now
end
return out`)

// atOnce bounds one script, so that Redis is never busy with it for long.
const atOnce = 500

func parts(all []share) iter.Seq[[]share] { return slices.Chunk(all, atOnce) }

// tellShared adds what was counted and is told when each bucket is full.
func tellShared(ctx context.Context, r redis.Scripter, part []share) ([]time.Duration, error) {
	keys, args := make([]string, len(part)), make([]any, 0, 2*len(part))
	for i, s := range part {
		keys[i] = s.key
		args = append(args, s.add.Microseconds(), s.window.Microseconds())
	}
	got, err := gcra.Run(ctx, r, keys, args...).Int64Slice()
	if err == nil && len(got) != len(part) {
		err = errors.New("Redis answered something else")
	}
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	out := make([]time.Duration, len(part))
	for i, us := range got {
		out[i] = time.Duration(us) * time.Microsecond
	}
	return out, nil
}
