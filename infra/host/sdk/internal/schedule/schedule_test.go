//go:build stockhost

package schedule

import (
	"testing"
	"time"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestNext(t *testing.T) {
	t.Parallel()
	every := func(d time.Duration) Schedule {
		s, err := Every(d)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	spec := func(text string) Schedule {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tc := range []struct {
		s          Schedule
		from, want string
	}{
		{every(10 * time.Minute), "2026-03-01 12:00:00", "2026-03-01 12:10:00"},
		{every(10 * time.Minute), "2026-03-01 12:09:59", "2026-03-01 12:10:00"},
		{every(6 * time.Hour), "2026-03-01 18:00:01", "2026-03-02 00:00:00"},
		{every(24 * time.Hour), "2026-02-28 05:00:00", "2026-03-01 00:00:00"},
		{spec("30 4 * * *"), "2026-03-01 04:30:00", "2026-03-02 04:30:00"},
		{spec("0 0 29 2 *"), "2026-03-01 00:00:00", "2028-02-29 00:00:00"},
	} {
		// A process may run in any zone; ticks are in UTC.
		from := at(tc.from).In(time.FixedZone("west", -7*3600))
		if got := tc.s.Next(from).UTC(); !got.Equal(at(tc.want)) {
			t.Errorf("after %s: %s, want %s", tc.from, got, tc.want)
		}
	}
}

func TestBadSchedules(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, -time.Minute, 30 * time.Second, 7 * time.Minute, 90 * time.Second, 48 * time.Hour} {
		if _, err := Every(d); err == nil {
			t.Errorf("every %s is accepted", d)
		}
	}
	for _, s := range []string{"", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@hourly", "TZ=Asia/Tokyo 0 0 * * *"} {
		if _, err := Parse(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	s, err := Every(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ last, now, want string }{
		{"2026-03-01 12:00:00", "2026-03-01 12:59:59", ""},
		{"2026-03-01 12:00:00", "2026-03-01 13:00:00", "2026-03-01 13:00:00"},
		{"2026-03-01 12:00:00", "2026-03-03 13:30:00", "2026-03-03 13:00:00"},
		{"2026-03-01 12:00:00", "2026-03-01 11:00:00", ""}, // the clock was set back
	} {
		got := latest(s, at(tc.last), at(tc.now))
		if tc.want == "" && !got.IsZero() || tc.want != "" && !got.Equal(at(tc.want)) {
			t.Errorf("from %s to %s: %s, want %q", tc.last, tc.now, got, tc.want)
		}
	}
}
