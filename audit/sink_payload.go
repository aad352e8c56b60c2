package audit

import (
	"time"

	"encore.app/audit/sink"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// Sink is where an organisation's audit events are delivered to.
type Sink struct {
	ID     uuid.UUID `json:"id"`
	OrgID  uuid.UUID `json:"org_id"`
	URL    string    `json:"url"`
	Events []string  `json:"events"` // patterns; none is everything

	Enabled        bool   `json:"enabled"`
	Status         string `json:"status" schema:"enum=active|failing|disabled"` // active, failing, disabled
	DisabledReason string `json:"disabled_reason,omitempty"`
	// ConsecutiveFailures since the last success; FailingSince is the first of them.
	ConsecutiveFailures int        `json:"consecutive_failures"`
	FailingSince        *time.Time `json:"failing_since,omitempty"`

	// Secret is shown once: when the sink is made and when the secret is replaced.
	Secret string `json:"secret,omitempty"`
	// OldSecretUntil is until when the secret before this one signs too.
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty"`

	NextSeq   int64     `json:"next_seq"` // number of the first event that is not on its way
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	ETag       string `json:"etag,omitempty" header:"ETag"` // for If-Match; not in lists
	HTTPStatus int    `json:"-" encore:"httpstatus"`
}

func (r sinkRow) payload() Sink {
	out := Sink{
		ID: r.ID, OrgID: r.OrgID, URL: r.URL, Events: r.Events, Enabled: r.Enabled, Status: "active",
		DisabledReason: r.DisabledReason, ConsecutiveFailures: r.Failures, FailingSince: utc(r.FailingSince),
		OldSecretUntil: utc(r.OldUntil), NextSeq: r.NextSeq, Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if out.Events == nil {
		out.Events = []string{}
	}
	switch {
	case !r.Enabled:
		out.Status = "disabled"
	case sink.Breaker{Failures: r.Failures}.Probing():
		out.Status = "failing"
	}
	if r.OldUntil != nil && r.OldUntil.Before(time.Now()) {
		out.OldSecretUntil = nil
	}
	return out
}

// single is the answer about one sink.
func (r sinkRow) single() *Sink {
	out := r.payload()
	out.ETag = etag.Of(r.Version)
	return &out
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC()
	return &at
}

// CreateSinkRequest describes a new sink.
type CreateSinkRequest struct {
	URL string `json:"url" schema:"format=uri;minLength=1"`
	// Secret is whsec_ and base64, or 16 to 64 characters; without it one is made.
	Secret string `json:"secret,omitempty"`
	// Events are patterns: a kind, an action, or kind.action, where * stands for any characters.
	Events []string `json:"events,omitempty" schema:"maxItems=50"`
}

// Validate checks the request. Whether the address may be used at all is the endpoint's to say: it
// depends on where the app runs.
func (r *CreateSinkRequest) Validate() error {
	var c fault.Checks
	if r.URL == "" {
		c.Add("url", "is required")
	}
	checkSecret(&c, r.Secret)
	checkPatterns(&c, r.Events)
	return c.Err()
}

func checkSecret(c *fault.Checks, secret string) {
	if secret == "" {
		return
	}
	if _, err := sink.ParseSecret(secret); err != nil {
		c.Add("secret", "%s", err)
	}
}

func checkPatterns(c *fault.Checks, patterns []string) {
	if len(patterns) > sink.MaxPatterns {
		c.Add("events", "has more than %d patterns", sink.MaxPatterns)
	}
	for _, p := range patterns {
		if !sink.ValidPattern(p) {
			c.Add("events", "has a pattern that is neither a kind, an action nor kind.action")
			return
		}
	}
}

// maxOverlap is how long a replaced secret may go on signing.
const maxOverlap = 7 * 24 * 60

// defaultOverlap is how long it does so when nobody says otherwise, in minutes.
const defaultOverlap = 24 * 60

// UpdateSinkRequest changes what it names.
type UpdateSinkRequest struct {
	IfMatch string   `header:"If-Match"` // an ETag; without it any version will do
	URL     *string  `json:"url,omitempty" schema:"format=uri;minLength=1"`
	Events  []string `json:"events,omitempty" schema:"maxItems=50"`
	Enabled *bool    `json:"enabled,omitempty"`
	// RotateSecret makes a new secret, or takes Secret. For OverlapMinutes (a day) both sign.
	RotateSecret   bool   `json:"rotate_secret,omitempty"`
	Secret         string `json:"secret,omitempty"`
	OverlapMinutes *int   `json:"overlap_minutes,omitempty" schema:"minimum=0;maximum=10080"`
}

// Validate checks the request.
func (r *UpdateSinkRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	if r.URL != nil && *r.URL == "" {
		c.Add("url", "must not be empty")
	}
	checkSecret(&c, r.Secret)
	checkPatterns(&c, r.Events)
	if m := r.OverlapMinutes; m != nil && (*m < 0 || *m > maxOverlap) {
		c.Add("overlap_minutes", "must be from 0 to %d", maxOverlap)
	}
	if r.URL == nil && r.Events == nil && r.Enabled == nil && !r.RotateSecret && r.Secret == "" {
		c.Add("body", "changes nothing")
	}
	return c.Err()
}

// DeleteSinkRequest names the version that is meant.
type DeleteSinkRequest struct {
	IfMatch string `header:"If-Match"` // an ETag; without it any version will do
}

// Validate checks the request.
func (r *DeleteSinkRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	return c.Err()
}

// ListSinksRequest asks for a page.
type ListSinksRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListSinksRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// ListSinksResponse is one page, oldest first.
type ListSinksResponse struct {
	Items      []Sink `json:"items"`
	NextCursor string `json:"next_cursor"`
}
