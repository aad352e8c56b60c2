package pdp

import (
	"context"
	"encoding/binary"
	"time"

	"encore.app/authz/filter"
)

// Shared is a cache that all replicas use. It answers in time or not at all: what it cannot say it
// does not know, and what it cannot keep it drops.
type Shared interface {
	// Load is the value of each key, nil where there is none.
	Load(ctx context.Context, keys []Key) [][]byte
	// Save keeps a value for a while. It does not wait.
	Save(k Key, value []byte, ttl time.Duration)
}

// mostShared bounds a value; a plan that names thousands of ids is asked for again instead.
const mostShared = 8 << 10

// A value is written by hand: reading it is a large part of what a look into Redis costs beyond the
// look. It begins with its form, so that another release's is not misread.
const (
	formDecision = "d1"
	formPlan     = "p1"
)

func (e entry) encode() (text []byte, ok bool) {
	d := e.decision
	if e.plan != nil {
		plan, err := e.plan.MarshalJSON()
		if err != nil {
			return nil, false
		}
		text = binary.AppendVarint([]byte(formPlan), e.until.UnixMilli())
		text = append(text, plan...)
		return text, len(text) <= mostShared
	}
	text = binary.AppendVarint([]byte(formDecision), e.until.UnixMilli())
	text, _ = appendValue(text, d.Allowed) // a bool has a form
	for _, field := range []string{d.ID, d.PolicyVersion, d.Policy} {
		text = appendText(text, field)
	}
	for _, list := range [][]string{d.Reasons, d.Rules, d.DerivedRoles} {
		text = binary.AppendUvarint(text, uint64(len(list)))
		for _, item := range list {
			text = appendText(text, item)
		}
	}
	return text, len(text) <= mostShared
}

// decode reads what encode wrote; what does not read as such to its last byte is not known.
func decode(text []byte) (e entry, ok bool) {
	if len(text) < len(formDecision) || len(text) > mostShared {
		return entry{}, false
	}
	form, rest := string(text[:len(formDecision)]), reader{rest: text[len(formDecision):]}
	e.until = time.UnixMilli(rest.integer())
	switch form {
	case formPlan:
		e.plan = new(filter.Plan)
		return e, !rest.broken && e.plan.UnmarshalJSON(rest.rest) == nil
	case formDecision:
		e.decision = Decision{Allowed: rest.truth(), ID: rest.text(), PolicyVersion: rest.text(), Policy: rest.text(),
			Reasons: rest.list(), Rules: rest.list(), DerivedRoles: rest.list()}
		return e, !rest.broken && len(rest.rest) == 0 && e.decision.ID != ""
	}
	return entry{}, false
}

// reader reads the fields of a value; what it cannot read breaks it for good.
type reader struct {
	rest   []byte
	broken bool
}

func (r *reader) take(n int) []byte {
	if r.broken || n < 0 || n > len(r.rest) {
		r.rest, r.broken = nil, true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) integer() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		n = -1
	}
	r.take(n)
	return v
}

// length is never more than what is left, so that nobody makes room for more.
func (r *reader) length() int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > uint64(len(r.rest)) {
		n = -1
	}
	if r.take(n); r.broken {
		return 0
	}
	return int(v)
}

func (r *reader) truth() bool {
	b := r.take(1)
	if len(b) == 1 && b[0] != 't' && b[0] != 'f' {
		r.broken = true
	}
	return len(b) == 1 && b[0] == 't'
}

func (r *reader) text() string { return string(r.take(r.length())) }

func (r *reader) list() []string {
	out := make([]string, r.length())
	for i := range out {
		out[i] = r.text()
	}
	return out
}
