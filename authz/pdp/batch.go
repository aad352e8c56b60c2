package pdp

import (
	"context"

	"encore.app/authz/principal"
)

// asked is one action of a batch: where its answer belongs.
type asked struct {
	query  int
	action string
}

// CheckAll answers what it remembers and asks for the rest in one call, once for all that ask for
// the same rest at once.
func (c *Cached) CheckAll(ctx context.Context, p *principal.Principal, queries []Query) ([]map[string]Decision, error) {
	out := make([]map[string]Decision, len(queries))
	var (
		open []asked
		keys []Key // of open
	)
	for i, q := range queries {
		base, err := c.base(ctx, p, q.Resource.Attr)
		if err != nil {
			bypassed.Inc()
			return c.cfg.Next.CheckAll(ctx, p, queries)
		}
		out[i] = make(map[string]Decision, len(q.Actions))
		if len(q.Actions) == 0 { // for the next to refuse
			return c.cfg.Next.CheckAll(ctx, p, queries)
		}
		for _, action := range q.Actions {
			k, err := base.key(questionCheck, q.Resource, action)
			if err != nil {
				return nil, err
			}
			if e, ok := c.get(k); ok {
				out[i][action] = e.decision
				continue
			}
			open, keys = append(open, asked{i, action}), append(keys, k)
		}
	}
	if len(open) == 0 {
		return out, nil
	}
	answers, err := fly(ctx, &c.flight, joined(keys), func(ctx context.Context) ([]Decision, error) {
		return c.rest(ctx, p, queries, open, keys)
	})
	if err != nil {
		return nil, err
	}
	for i, d := range answers {
		out[open[i].query][open[i].action] = d
	}
	return out, nil
}

// rest answers what this process does not remember.
func (c *Cached) rest(ctx context.Context, p *principal.Principal, queries []Query, open []asked, keys []Key) ([]Decision, error) {
	out := make([]Decision, len(open))
	found := c.shared(ctx, keys...)
	if found == nil {
		found = map[Key]entry{}
	}
	for _, k := range keys {
		if e, ok := c.get(k); ok && found[k].until.IsZero() { // somebody else was just answered
			found[k] = e
		}
	}
	var (
		missing []Query
		at      = map[int]int{} // query → its place in missing
	)
	for i, a := range open {
		if e, ok := found[keys[i]]; ok {
			out[i] = e.decision
			continue
		}
		n, ok := at[a.query]
		if !ok {
			n = len(missing)
			at[a.query] = n
			missing = append(missing, Query{Resource: queries[a.query].Resource})
		}
		missing[n].Actions = append(missing[n].Actions, a.action)
	}
	if len(missing) == 0 {
		return out, nil
	}
	answers, err := c.cfg.Next.CheckAll(ctx, p, missing)
	if err != nil {
		return nil, err
	}
	for i, a := range open {
		if _, ok := found[keys[i]]; !ok {
			out[i] = c.put(keys[i], entry{decision: answers[at[a.query]][a.action]}).decision
		}
	}
	return out, nil
}
