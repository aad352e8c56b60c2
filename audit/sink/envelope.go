package sink

import (
	"encoding/json"
	"time"
)

// ContentType of a delivery's body (CloudEvents, JSON event format).
const ContentType = "application/cloudevents+json"

// Envelope is the CloudEvents 1.0 form of an audit event. Sequence is the event's number in its
// organisation's log, without a gap: a receiver of everything can prove that it missed nothing.
type Envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Sequence        string          `json:"sequence"` // CloudEvents "sequence" extension
	Data            json.RawMessage `json:"data"`
}
