package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.dev/types/uuid"
)

// Paths of personal values in an event.
const (
	pathIP        = "ip"
	prefixChanges = "changes."
)

// sealed is a personal value as it is kept: whose it is, what the leaf says instead, and the value
// for those who have the key.
type sealed struct {
	Subject uuid.UUID `json:"subject"`
	Hash    []byte    `json:"hash"`
	Sealed  []byte    `json:"sealed,omitempty"`
}

// seal takes the personal values out of e. What stays is e's leaf without them.
func (r *keyring) seal(ctx context.Context, e *event.Event) (map[string]sealed, error) {
	all := map[string]sealed{}
	add := func(person uuid.UUID, path string, value []byte) error {
		key, err := r.of(ctx, person)
		if err != nil {
			return err
		}
		s := sealed{Subject: person}
		if s.Hash, err = ledger.Commit(key.salt(e.ID, path), path, value); err != nil {
			return err
		}
		if s.Sealed, err = key.seal(e.ID, path, value); err != nil {
			return err
		}
		all[path] = s
		return nil
	}
	if e.IP != "" {
		var person uuid.UUID
		if e.Person != nil {
			person = *e.Person
		}
		ip, err := json.Marshal(e.IP)
		if err == nil {
			err = add(person, pathIP, ip)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, p := range e.Personal {
		for name, value := range p.Fields {
			if err := add(p.Subject, prefixChanges+name, value); err != nil {
				return nil, err
			}
		}
	}
	e.IP, e.Person = "", nil
	if len(e.Personal) > 0 {
		e.Personal = nil
		return all, edit(e, func(changes map[string]json.RawMessage) {
			for path := range all {
				if name, ok := strings.CutPrefix(path, prefixChanges); ok {
					delete(changes, name)
				}
			}
		})
	}
	return all, nil
}

// leafOf is the leaf of a sealed event.
func leafOf(e event.Event, personal map[string]sealed) ([]byte, error) {
	e.Commitments = make(map[string]ledger.Commitment, len(personal))
	for path, s := range personal {
		e.Commitments[path] = ledger.Commitment{Hash: s.Hash}
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return ledger.Leaf(text)
}

func hashOf(leaf []byte) []byte {
	h := ledger.Hash(leaf)
	return h[:]
}

// unseal puts back what may be read of the personal values, with what proves it.
func (r *keyring) unseal(ctx context.Context, rows []kept) ([]event.Event, error) {
	persons := map[uuid.UUID]struct{}{}
	for _, row := range rows {
		for _, s := range row.personal {
			persons[s.Subject] = struct{}{}
		}
	}
	var keys map[uuid.UUID]personKey
	if len(persons) > 0 {
		var err error
		if keys, err = r.existing(ctx, slices.Collect(maps.Keys(persons))); err != nil {
			return nil, err
		}
	}
	events := make([]event.Event, len(rows))
	for i, row := range rows {
		if err := row.unseal(keys); err != nil {
			return nil, fmt.Errorf("audit: event %s: %w", row.ID, err)
		}
		events[i] = row.Event
	}
	return events, nil
}

// kept is an event as the database has it.
type kept struct {
	event.Event
	personal map[string]sealed
}

func (k *kept) unseal(keys map[uuid.UUID]personKey) error {
	if len(k.personal) == 0 {
		return nil
	}
	changed := map[string]json.RawMessage{}
	k.Commitments = make(map[string]ledger.Commitment, len(k.personal))
	for _, path := range slices.Sorted(maps.Keys(k.personal)) {
		s := k.personal[path]
		key := keys[s.Subject]
		if key == nil || s.Sealed == nil {
			k.Erased = append(k.Erased, path)
			k.Commitments[path] = ledger.Commitment{Hash: s.Hash}
			continue
		}
		value, err := key.open(k.ID, path, s.Sealed)
		if err != nil { // somebody changed it: the hash in the leaf is all there is to show
			k.Erased = append(k.Erased, path)
			k.Commitments[path] = ledger.Commitment{Hash: s.Hash}
			continue
		}
		k.Commitments[path] = ledger.Commitment{Salt: key.salt(k.ID, path)}
		if name, ok := strings.CutPrefix(path, prefixChanges); ok {
			changed[name] = value
		} else if err := json.Unmarshal(value, &k.IP); err != nil {
			return err
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return edit(&k.Event, func(changes map[string]json.RawMessage) { maps.Copy(changes, changed) })
}

// edit changes the changes.
func edit(e *event.Event, with func(map[string]json.RawMessage)) error {
	changes := map[string]json.RawMessage{}
	if err := json.Unmarshal(e.Changes, &changes); err != nil {
		return err
	}
	with(changes)
	text, err := json.Marshal(changes)
	e.Changes = text
	return err
}
