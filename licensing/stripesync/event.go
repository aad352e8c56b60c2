package stripesync

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

// Tolerance is how old a signature may be: Stripe's own recommendation. It signs every delivery anew.
const Tolerance = 300 * time.Second

// Why a delivery is refused.
var (
	ErrForged    = errors.New("stripesync: no valid signature")
	ErrStale     = errors.New("stripesync: the signature is too old")
	ErrMalformed = errors.New("stripesync: not an event")
)

// Event is as much of a delivery as is looked at: which it is, and whom it is about.
type Event struct {
	ID       string
	Type     string
	Customer string // "" if it is about none
}

// maxID is more than any id of Stripe's has.
const maxID = 255

// Verify checks a delivery's signature, over the bytes as they came, and reads it. Any of the secrets
// will do, so that one can be replaced while deliveries signed with the old one are on their way.
func Verify(payload []byte, signature string, secrets []string) (Event, error) {
	refusal := ErrForged
	for _, secret := range secrets {
		switch err := webhook.ValidatePayloadWithTolerance(payload, signature, secret, Tolerance); {
		case err == nil:
			return read(payload)
		case errors.Is(err, webhook.ErrTooOld):
			refusal = ErrStale
		}
	}
	return Event{}, refusal
}

// Secrets splits the setting that holds one secret, or two during rotation.
func Secrets(setting string) []string {
	return strings.FieldsFunc(setting, func(r rune) bool { return r == ',' || r == ' ' })
}

func read(payload []byte) (Event, error) {
	var e struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			Object struct {
				ID       string          `json:"id"`
				Object   string          `json:"object"`
				Customer json.RawMessage `json:"customer"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(payload, &e); err != nil || e.ID == "" || e.Type == "" {
		return Event{}, ErrMalformed
	}
	out := Event{ID: e.ID, Type: e.Type, Customer: customerOf(e.Data.Object.Customer)}
	if e.Data.Object.Object == "customer" {
		out.Customer = e.Data.Object.ID
	}
	for _, s := range []string{out.ID, out.Type, out.Customer} {
		if len(s) > maxID || strings.ContainsRune(s, 0) {
			return Event{}, ErrMalformed
		}
	}
	return out, nil
}

// customerOf reads what is an id, or an object with one, or null.
func customerOf(raw json.RawMessage) string {
	var id string
	if json.Unmarshal(raw, &id) == nil {
		return id
	}
	var expanded struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &expanded) == nil {
		return expanded.ID
	}
	return ""
}
