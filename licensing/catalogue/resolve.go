package catalogue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Seats is the limit that a licence itself carries.
const Seats = "seats"

// MaxSeats is the most that one licence can have.
const MaxSeats = 1_000_000

var periods = []string{"", "minute", "hour", "day", "month"}

// Layer is one place that may say what an organisation has. What it does not name it leaves alone.
type Layer struct {
	Features map[string]bool
	Limits   map[string]int64
}

// Entitlements are what an organisation has.
type Entitlements struct {
	Tier     string
	Features map[string]bool
	Limits   map[string]int64
}

// Resolve lays the layers over each other: default < env < global < tier < org.
func (c *Catalogue) Resolve(env, global Layer, tier string, org Layer) Entitlements {
	base := Layer{Features: map[string]bool{}, Limits: map[string]int64{}}
	for name, f := range c.Features {
		base.Features[name] = f.Default
	}
	for name, l := range c.Limits {
		base.Limits[name] = l.Default
	}
	t := c.Tier(tier)
	for _, layer := range []Layer{env, global, {t.Features, t.Limits}, org} {
		for name, on := range layer.Features {
			base.Features[name] = on
		}
		for name, n := range layer.Limits {
			base.Limits[name] = n
		}
	}
	return Entitlements{Tier: t.Name, Features: base.Features, Limits: base.Limits}
}

// ParseLayer reads name=value pairs, separated by commas: true and false set features, numbers limits.
func (c *Catalogue) ParseLayer(text string) (Layer, error) {
	l := Layer{Features: map[string]bool{}, Limits: map[string]int64{}}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if err := c.Set(&l, strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
			return Layer{}, err
		}
	}
	return l, nil
}

// Set puts one value into a layer: true or false for a feature, a number for a limit.
func (c *Catalogue) Set(l *Layer, name, value string) error {
	if _, ok := c.Features[name]; ok && (value == "true" || value == "false") {
		l.Features[name] = value == "true"
		return nil
	}
	if _, ok := c.Limits[name]; ok {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && ValidLimit(n) {
			l.Limits[name] = n
			return nil
		}
	}
	return fmt.Errorf("%q=%q names no feature with true or false, and no limit with a number from -1 to %d", name, value, MaxLimit)
}

// Has says whether there is such a limit.
func (c *Catalogue) Has(limit string) bool {
	_, ok := c.Limits[limit]
	return ok
}

// Bucket is when the period of a limit that t lies in began; the zero time for a limit without one.
func (l Limit) Bucket(t time.Time) time.Time {
	t = t.UTC()
	switch l.Period {
	case "minute":
		return t.Truncate(time.Minute)
	case "hour":
		return t.Truncate(time.Hour)
	case "day":
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}
}

// Ends is when the period that t lies in is over; the zero time for a limit without one.
func (l Limit) Ends(t time.Time) time.Time {
	switch start := l.Bucket(t); l.Period {
	case "minute":
		return start.Add(time.Minute)
	case "hour":
		return start.Add(time.Hour)
	case "day":
		return start.AddDate(0, 0, 1)
	case "month":
		return start.AddDate(0, 1, 0)
	}
	return time.Time{}
}
