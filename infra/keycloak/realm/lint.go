package realm

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Finding is something in a realm that would be unsafe, or would not work, in production.
type Finding struct {
	Rule   string
	Detail string
}

func (f Finding) String() string { return f.Rule + ": " + f.Detail }

// lint is one look at a realm. Pointers tell what a file leaves to Keycloak's defaults, which are
// the unsafe ones more often than not.
type lint struct {
	Realm               string
	SSLRequired         string
	RegistrationAllowed bool
	VerifyEmail         bool
	DuplicateEmails     bool   `json:"duplicateEmailsAllowed"`
	EditUsername        bool   `json:"editUsernameAllowed"`
	Organizations       bool   `json:"organizationsEnabled"`
	SignatureAlgorithm  string `json:"defaultSignatureAlgorithm"`
	PasswordPolicy      string

	AccessToken        int  `json:"accessTokenLifespan"`
	AccessCode         int  `json:"accessCodeLifespan"`
	UserActionToken    int  `json:"actionTokenGeneratedByUserLifespan"`
	SessionIdle        int  `json:"ssoSessionIdleTimeout"`
	SessionMax         int  `json:"ssoSessionMaxLifespan"`
	OfflineMaxEnabled  bool `json:"offlineSessionMaxLifespanEnabled"`
	RevokeRefreshToken bool
	RefreshTokenReuse  *int `json:"refreshTokenMaxReuse"`

	BruteForceProtected bool
	PermanentLockout    bool
	FailureFactor       int
	WaitIncrement       int `json:"waitIncrementSeconds"`

	OTPType     string `json:"otpPolicyType"`
	OTPDigits   int    `json:"otpPolicyDigits"`
	OTPReusable bool   `json:"otpPolicyCodeReusable"`

	EventsEnabled      bool
	EventsExpiration   int
	EnabledEventTypes  []string
	AdminEvents        bool `json:"adminEventsEnabled"`
	AdminEventsDetails bool `json:"adminEventsDetailsEnabled"`

	Attributes map[string]string
	Roles      struct {
		Realm []struct {
			Name      string
			Composite bool
		}
	}
	Clients             []lintClient
	ScopeMappings       []ScopeMapping
	ClientScopeMappings map[string][]ScopeMapping
	Users               []User
	BrowserFlow         string
	ResetFlow           string     `json:"resetCredentialsFlow"`
	ResetPassword       *bool      `json:"resetPasswordAllowed"`
	Flows               []lintFlow `json:"authenticationFlows"`
	FlowConfigs         []struct {
		Alias  string
		Config map[string]string
	} `json:"authenticatorConfig"`
	Components map[string][]struct {
		Config map[string][]string
	}

	raw      map[string]any
	rule     string
	findings []Finding
}

type lintClient struct {
	ID                 string `json:"clientId"`
	Public             bool   `json:"publicClient"`
	Bearer             bool   `json:"bearerOnly"`
	Secret             string
	FullScope          *bool `json:"fullScopeAllowed"`
	StandardFlow       *bool `json:"standardFlowEnabled"`
	ImplicitFlow       *bool `json:"implicitFlowEnabled"`
	DirectAccessGrants *bool `json:"directAccessGrantsEnabled"`
	ServiceAccounts    *bool `json:"serviceAccountsEnabled"`
	RedirectURIs       []string
	WebOrigins         []string
	DefaultScopes      []string `json:"defaultClientScopes"`
	OptionalScopes     []string `json:"optionalClientScopes"`
	Attributes         map[string]string
	ProtocolMappers    []ProtocolMapper
}

type lintFlow struct {
	Alias      string
	Executions []struct {
		Authenticator, FlowAlias, Requirement string
		Config                                string `json:"authenticatorConfig"`
	} `json:"authenticationExecutions"`
}

// rules are the traps, by name. README.md of the directory above says why the realm is as it is.
var rules = map[string]func(*lint){
	"client scopes":       (*lint).clientScopes,
	"people":              (*lint).people,
	"secrets":             (*lint).secrets,
	"sign-up":             (*lint).signUp,
	"transport":           (*lint).transport,
	"organisations":       (*lint).organisations,
	"lifetimes":           (*lint).lifetimes,
	"refresh rotation":    (*lint).refreshRotation,
	"brute force":         (*lint).bruteForce,
	"passwords":           (*lint).passwords,
	"one-time codes":      (*lint).oneTimeCodes,
	"events":              (*lint).events,
	"admin events":        (*lint).adminEvents,
	"user profile":        (*lint).userProfile,
	"levels":              (*lint).levels,
	"step-up flow":        (*lint).stepUpFlow,
	"password reset":      (*lint).passwordReset,
	"amr":                 (*lint).amr,
	"known clients":       (*lint).knownClients,
	"full scope":          (*lint).fullScope,
	"grants":              (*lint).grants,
	"redirects":           (*lint).redirects,
	"pkce":                (*lint).pkce,
	"audience":            (*lint).audience,
	"scopes":              (*lint).scopes,
	"token form":          (*lint).tokenForm,
	"back-channel logout": (*lint).backchannelLogout,
	"minimum level":       (*lint).minimumLevel,
	"role reach":          (*lint).roleReach,
	"service accounts":    (*lint).serviceAccounts,
}

// Rules are the names of the rules, sorted.
func Rules() []string {
	var names []string
	for name := range rules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Lint looks for traps in a realm that production is to import, as [Merge] returns it.
func Lint(merged map[string]any) ([]Finding, error) {
	text, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	l := lint{}
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	l.raw = merged
	for _, l.rule = range Rules() {
		rules[l.rule](&l)
	}
	return l.findings, nil
}

// want notes a finding where ok is false.
func (l *lint) want(ok bool, format string, args ...any) {
	if !ok {
		l.findings = append(l.findings, Finding{Rule: l.rule, Detail: fmt.Sprintf(format, args...)})
	}
}

// isTrue and isFalse want a switch to be set, not left to a default.
func isTrue(b *bool) bool  { return b != nil && *b }
func isFalse(b *bool) bool { return b != nil && !*b }
