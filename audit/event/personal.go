package event

import (
	"encoding/json"
	"fmt"
	"strings"

	"encore.app/audit/ledger"
	"encore.dev/types/uuid"
)

// Personal are changes that are personal data of one person: an address, a name. The log keeps them
// sealed under that person's key, and its hashes commit to them, so that erasing the person takes
// them out of every event and leaves every proof valid.
type Personal struct {
	Subject uuid.UUID                  `json:"subject"`
	Fields  map[string]json.RawMessage `json:"fields"`
}

// WithPersonal is e telling what was changed of a person's data, by name. Readers of the log see the
// fields among the other changes until the person is erased ([encore.app/audit.ErasePerson]).
func (e Event) WithPersonal(subject uuid.UUID, fields map[string]any) (Event, error) {
	p := Personal{Subject: subject, Fields: make(map[string]json.RawMessage, len(fields))}
	for name, value := range fields {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return e, fmt.Errorf("event: %q cannot be the name of a personal field", name)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return e, fmt.Errorf("event: %s of %s: %w", name, e.Action, err)
		}
		if _, err := ledger.Canonical(nil, text); err != nil {
			return e, fmt.Errorf("event: %s of %s: %w", name, e.Action, err)
		}
		p.Fields[name] = text
	}
	e.Personal = append(e.Personal[:len(e.Personal):len(e.Personal)], p)
	return e, nil
}
