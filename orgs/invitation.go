package orgs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/mail"
	"strings"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.dev/types/uuid"
)

const (
	maxEmail = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
	maxTeams = 50

	invitationPending = "pending"
)

// invitation is a row of orgs.invitations without its token.
type invitation struct {
	ID        uuid.UUID
	OrgID     uuid.UUID
	Email     string
	OrgRoles  []string
	TeamIDs   []uuid.UUID
	Status    string // expired as soon as it is, whatever the row still says
	InvitedBy uuid.UUID
	ExpiresAt time.Time
	Version   int64
	CreatedAt time.Time
	OrgStatus string
}

// attributes is the invitation as policies see it.
func (i invitation) attributes() authz.Resource {
	r := invitationIn(i.OrgID)
	r.ID, r.Extra, r.OrgStatus = i.ID.String(), conferring(i.OrgRoles), i.OrgStatus
	return r
}

// invitationIn is any invitation of an organisation.
func invitationIn(org uuid.UUID) authz.Resource {
	return authz.Resource{Kind: "invitation", OrgID: org.String(), Extra: conferring(nil)}
}

func (i invitation) event(ctx context.Context, action string, d authz.Decision, changes map[string]any) (event.Event, error) {
	return event.New(ctx, i.OrgID, action, event.Resource{Kind: "invitation", ID: i.ID.String()}, event.Succeeded, d).With(changes)
}

// A token is the organisation's id and a secret. The id says under which organisation to look, so that
// row-level security needs no exception; the secret alone is what proves the invitation.
const (
	tokenPrefix = "tinv_"
	secretSize  = 32
)

// newToken makes a token and the hash that is kept of it.
func newToken(org uuid.UUID) (token string, hash []byte) {
	text := make([]byte, len(org)+secretSize)
	copy(text, org[:])
	rand.Read(text[len(org):]) // never fails: the program ends instead
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(text), hashOf(text)
}

// parseToken is what newToken made of a token; ok is false for anything else.
func parseToken(token string) (org uuid.UUID, hash []byte, ok bool) {
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return org, nil, false
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(text) != len(org)+secretSize {
		return org, nil, false
	}
	copy(org[:], text)
	return org, hashOf(text), true
}

func hashOf(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// normalEmail is an address as invitations keep it and compare it.
func normalEmail(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

func checkEmail(c *fault.Checks, field, address string) {
	parsed, err := mail.ParseAddress(address)
	switch {
	case strings.TrimSpace(address) == "":
		c.Add(field, "is required")
	case err != nil || parsed.Name != "" || parsed.Address != strings.TrimSpace(address) || len(address) > maxEmail:
		c.Add(field, "is not an e-mail address")
	}
}
