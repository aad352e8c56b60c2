package token

import (
	"math"
	"slices"
	"time"

	// Case-sensitive, refuses duplicate members at every depth and bytes that are not UTF-8; the
	// standard library's encoding/json/v2 from Go 1.27 on.
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Claims is what a verified access token says. It is shared between callers that
// show the same token: read it, never change it.
type Claims struct {
	Issuer   string
	Subject  string
	Audience string // the one of Config.Audiences that the token is for
	ClientID string // azp: the client the token was given to

	Email         string
	EmailVerified bool
	Username      string
	Name          string

	RealmRoles  []string
	ClientRoles []string // roles at the client that stands for Audience

	MFALevel  int // from acr; 0 for any value that is not mapped
	AMR       []string
	AuthTime  time.Time // zero if the token does not say
	IssuedAt  time.Time
	Expiry    time.Time
	SessionID string
	TokenID   string

	// Organizations and OrgID narrow what the caller may reach; they grant nothing.
	// OrganizationsPresent with an empty list narrows to nothing.
	Organizations        []string // aliases
	OrganizationsPresent bool
	OrgID                string
}

type roleList struct {
	Roles []string `json:"roles"`
}

// wire is the token's payload as Keycloak writes it.
type wire struct {
	Type              string              `json:"typ"`
	Issuer            string              `json:"iss"`
	Subject           string              `json:"sub"`
	Audience          stringOrList        `json:"aud"`
	Expiry            *float64            `json:"exp"`
	NotBefore         *float64            `json:"nbf"`
	IssuedAt          *float64            `json:"iat"`
	TokenID           string              `json:"jti"`
	AuthorizedParty   string              `json:"azp"`
	SessionID         string              `json:"sid"`
	ACR               lenient[string]     `json:"acr"`
	AMR               lenient[[]string]   `json:"amr"`
	AuthTime          lenient[float64]    `json:"auth_time"`
	Email             string              `json:"email"`
	EmailVerified     lenient[bool]       `json:"email_verified"`
	PreferredUsername string              `json:"preferred_username"`
	Name              string              `json:"name"`
	RealmAccess       roleList            `json:"realm_access"`
	ResourceAccess    map[string]roleList `json:"resource_access"`
	Organization      organizations       `json:"organization"`
	OrgID             string              `json:"org_id"`
}

// parseClaims decodes a payload. Members that only add detail may have any type;
// those that decide something must have the right one.
func parseClaims(payload []byte) (*wire, error) {
	var w *wire // null is no object: it leaves w nil
	if err := json.Unmarshal(payload, &w); err != nil {
		return nil, err
	}
	if w == nil {
		w = new(wire)
	}
	return w, nil
}

// lenient holds a T, or the zero T where the token has something else there.
type lenient[T any] struct{ value T }

func (l *lenient[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	var value T
	if json.Unmarshal(raw, &value) == nil {
		l.value = value
	}
	return nil
}

// stringOrList is the type of aud (RFC 7519 §4.1.3).
type stringOrList []string

func (s *stringOrList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		return json.UnmarshalDecode(dec, (*[]string)(s))
	}
	*s = make(stringOrList, 1)
	return json.UnmarshalDecode(dec, &(*s)[0])
}

// organizations is Keycloak's organization claim: a list of aliases or, where its
// mapper adds ids and attributes, an object keyed by alias.
type organizations struct {
	aliases []string
	present bool // null counts: it names no organisation
}

func (o *organizations) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	o.present = true
	if dec.PeekKind() != '{' {
		return json.UnmarshalDecode(dec, &o.aliases)
	}
	var byAlias map[string]jsontext.Value
	if err := json.UnmarshalDecode(dec, &byAlias); err != nil {
		return err
	}
	o.aliases = make([]string, 0, len(byAlias))
	for alias := range byAlias {
		o.aliases = append(o.aliases, alias)
	}
	slices.Sort(o.aliases)
	return nil
}

// lastSecond is the end of year 9999, past which a time is nonsense.
const lastSecond = 253402300799

// numericDate turns a NumericDate (RFC 7519 §2) into a time; ok is false for nonsense.
func numericDate(seconds float64) (t time.Time, ok bool) {
	if !(seconds >= 0 && seconds <= lastSecond) {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), true
}
