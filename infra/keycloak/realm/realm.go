package realm

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Realm is the part of a Keycloak realm that the development issuer honours.
type Realm struct {
	Name                  string `json:"realm"`
	DisplayName           string `json:"displayName"`
	AccessTokenLifespan   int    `json:"accessTokenLifespan"`     // seconds, as are the others
	AccessCodeLifespan    int    `json:"accessCodeLifespan"`      // authorization code
	LoginLifespan         int    `json:"accessCodeLifespanLogin"` // an open sign-in page
	SessionIdleTimeout    int    `json:"ssoSessionIdleTimeout"`
	SessionMaxLifespan    int    `json:"ssoSessionMaxLifespan"`
	RevokeRefreshToken    bool   `json:"revokeRefreshToken"` // a refresh token works once
	LoginWithEmailAllowed bool   `json:"loginWithEmailAllowed"`

	BruteForceProtected bool `json:"bruteForceProtected"`
	FailureFactor       int  `json:"failureFactor"`
	WaitIncrement       int  `json:"waitIncrementSeconds"`
	MaxFailureWait      int  `json:"maxFailureWaitSeconds"`
	FailureReset        int  `json:"maxDeltaTimeSeconds"`

	OTPPeriod    int  `json:"otpPolicyPeriod"`
	OTPDigits    int  `json:"otpPolicyDigits"`
	OTPLookAhead int  `json:"otpPolicyLookAheadWindow"` // steps accepted to either side
	OTPReusable  bool `json:"otpPolicyCodeReusable"`

	Clients       []*Client       `json:"clients"`
	Users         []*User         `json:"users"`
	Organizations []*Organization `json:"organizations"`
	Roles         struct {
		Realm []Role `json:"realm"`
	} `json:"roles"`

	ScopeMappings       []ScopeMapping            `json:"scopeMappings"`       // realm roles a client may carry
	ClientScopeMappings map[string][]ScopeMapping `json:"clientScopeMappings"` // by the client that owns the roles
}

// Client is an OAuth client.
type Client struct {
	ID                 string            `json:"clientId"`
	Enabled            bool              `json:"enabled"`
	Public             bool              `json:"publicClient"`
	Secret             string            `json:"secret"`
	StandardFlow       bool              `json:"standardFlowEnabled"`
	DirectAccessGrants bool              `json:"directAccessGrantsEnabled"`
	ServiceAccounts    bool              `json:"serviceAccountsEnabled"`
	FullScope          bool              `json:"fullScopeAllowed"`
	RedirectURIs       []string          `json:"redirectUris"`
	WebOrigins         []string          `json:"webOrigins"`
	DefaultScopes      []string          `json:"defaultClientScopes"`
	OptionalScopes     []string          `json:"optionalClientScopes"`
	Attributes         map[string]string `json:"attributes"`
	ProtocolMappers    []ProtocolMapper  `json:"protocolMappers"`
}

// ProtocolMapper adds something to the tokens of a client.
type ProtocolMapper struct {
	Name   string            `json:"name"`
	Kind   string            `json:"protocolMapper"`
	Config map[string]string `json:"config"`
}

// ScopeMapping lists the roles that tokens of a client may carry.
type ScopeMapping struct {
	Client string   `json:"client"`
	Roles  []string `json:"roles"`
}

// User is a person or, with ServiceAccountClient, a client acting for itself.
type User struct {
	ID                   string              `json:"id"`
	Username             string              `json:"username"`
	Email                string              `json:"email"`
	EmailVerified        bool                `json:"emailVerified"`
	Enabled              bool                `json:"enabled"`
	FirstName            string              `json:"firstName"`
	LastName             string              `json:"lastName"`
	RealmRoles           []string            `json:"realmRoles"`
	ClientRoles          map[string][]string `json:"clientRoles"`
	ServiceAccountClient string              `json:"serviceAccountClientId"`
	Credentials          []Credential        `json:"credentials"`
	RequiredActions      []string            `json:"requiredActions"` // to be done at the next sign-in
}

// Credential is a password or a one-time code device.
type Credential struct {
	Type       string `json:"type"`
	Value      string `json:"value"`      // a password in the clear; demo users only
	SecretData string `json:"secretData"` // JSON text: {"value":…}
}

// Organization is a Keycloak organisation.
type Organization struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Alias   string   `json:"alias"`
	Enabled bool     `json:"enabled"`
	Domains []Domain `json:"domains"`
	Members []Member `json:"members"`
}

// Domain is an e-mail domain of an organisation.
type Domain struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
}

// Role is a realm role.
type Role struct {
	Name string `json:"name"`
}

// Member is a user's place in an organisation.
type Member struct {
	Username string `json:"username"`
}

// Load merges the files, fills their placeholders from env and decodes the result.
func Load(env func(string) string, files ...string) (*Realm, error) {
	merged, err := Merge(files...)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(expand(merged, env))
	if err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	r := Realm{ // Keycloak's own defaults for what a file leaves out
		AccessTokenLifespan: 300, AccessCodeLifespan: 60, LoginLifespan: 1800,
		SessionIdleTimeout: 1800, SessionMaxLifespan: 36000, LoginWithEmailAllowed: true,
		FailureFactor: 30, WaitIncrement: 60, MaxFailureWait: 900, FailureReset: 43200,
		OTPPeriod: 30, OTPDigits: 6, OTPLookAhead: 1,
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	if r.Name == "" {
		return nil, fmt.Errorf("realm: %v name no realm", files)
	}
	return &r, nil
}

// Client finds an enabled client, nil if there is none.
func (r *Realm) Client(id string) *Client {
	for _, c := range r.Clients {
		if c.ID == id && c.Enabled {
			return c
		}
	}
	return nil
}

// Audiences lists what the audience mappers of c put into its access tokens.
func (c *Client) Audiences() []string {
	var aud []string
	for _, m := range c.ProtocolMappers {
		if m.Kind != "oidc-audience-mapper" || m.Config["access.token.claim"] != "true" {
			continue
		}
		// Keycloak lets the client win where both are set.
		if name := m.Config["included.client.audience"]; name != "" {
			aud = append(aud, name)
		} else if name := m.Config["included.custom.audience"]; name != "" {
			aud = append(aud, name)
		}
	}
	return aud
}

// HasMapper tells whether c has a protocol mapper of this kind.
func (c *Client) HasMapper(kind string) bool {
	return slices.ContainsFunc(c.ProtocolMappers, func(m ProtocolMapper) bool { return m.Kind == kind })
}

// Password is the user's password, "" without one.
func (u *User) Password() string {
	for _, c := range u.Credentials {
		if c.Type == "password" {
			return c.Value
		}
	}
	return ""
}

// OTPSecret is the secret of the user's one-time code device in base32, "" without one.
func (u *User) OTPSecret() string {
	for _, c := range u.Credentials {
		var data struct {
			Value string `json:"value"`
		}
		if c.Type == "otp" && json.Unmarshal([]byte(c.SecretData), &data) == nil {
			return data.Value
		}
	}
	return ""
}

// OrganizationsOf lists the enabled organisations of a user in file order.
func (r *Realm) OrganizationsOf(username string) []*Organization {
	var orgs []*Organization
	for _, o := range r.Organizations {
		if o.Enabled && slices.Contains(o.Members, Member{Username: username}) {
			orgs = append(orgs, o)
		}
	}
	return orgs
}

// Seconds turns a lifetime of a realm file into a duration.
func Seconds(n int) time.Duration { return time.Duration(n) * time.Second }
