package realm

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what production accepts; seconds unless they say otherwise.
const (
	maxAccessToken     = 300
	maxAccessCode      = 60
	maxUserActionToken = 300
	maxSessionIdle     = 1800
	maxSession         = 36000
	maxFailures        = 5
	minLockOut         = 60
	minPasswordLength  = 12 // characters
	maxLevel2Age       = 900
)

// signatureAlgorithms are those that the API accepts.
var signatureAlgorithms = []string{"RS256", "ES256", "EdDSA"}

// tellTale are the events without which an attack leaves no trace.
var tellTale = []string{"LOGIN", "LOGIN_ERROR", "LOGOUT", "REFRESH_TOKEN_ERROR", "CLIENT_LOGIN_ERROR", "UPDATE_CREDENTIAL", "REMOVE_CREDENTIAL"}

func (l *lint) clientScopes() {
	for _, key := range []string{"clientScopes", "defaultDefaultClientScopes", "defaultOptionalClientScopes"} {
		_, has := l.raw[key]
		l.want(!has, "%s is there: its mere presence suppresses built-in scopes", key)
	}
}

func (l *lint) people() {
	for _, u := range l.Users {
		l.want(u.ServiceAccountClient != "", "user %s is a person", u.Username)
	}
	list, _ := l.raw["organizations"].([]any)
	l.want(len(list) == 0, "%d organisations are in the file", len(list))
}

// secretKey matches the names of members that hold something secret.
var secretKey = regexp.MustCompile(`(?i)^(secret|secretData|password|privateKey|private_key|keystorePassword|keyPassword|bindCredential|clientSecret|registrationAccessToken)$`)

// secrets looks at every depth: what is in the file is known to everybody who reads the repository,
// and a placeholder that nobody fills is a secret that is known as well.
func (l *lint) secrets() {
	var look func(path string, value any)
	look = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				at := path + "/" + name
				l.want(!secretKey.MatchString(name) || inner == nil || inner == "", "%s is in the file", at)
				look(at, inner)
			}
		case []any:
			for i, inner := range value {
				look(path+"/"+strconv.Itoa(i), inner)
			}
		}
	}
	look("", l.raw)
	for _, u := range l.Users {
		l.want(len(u.Credentials) == 0, "user %s has credentials in the file", u.Username)
	}
}

func (l *lint) signUp() {
	l.want(!l.RegistrationAllowed, "anybody may register")
	l.want(l.VerifyEmail, "e-mail addresses are not verified, and invitations are sent to them")
	l.want(!l.DuplicateEmails, "two accounts may share an e-mail address")
	l.want(!l.EditUsername, "people may rename themselves")
}

func (l *lint) transport() {
	l.want(l.SSLRequired == "external" || l.SSLRequired == "all", "sslRequired is %q", l.SSLRequired)
	l.want(slices.Contains(signatureAlgorithms, l.SignatureAlgorithm), "defaultSignatureAlgorithm is %q, which the API does not accept", l.SignatureAlgorithm)
}

func (l *lint) organisations() { l.want(l.Organizations, "organizationsEnabled is off") }

func (l *lint) lifetimes() {
	within := func(name string, n, most int) {
		l.want(n > 0 && n <= most, "%s is %d, not between 1 and %d", name, n, most)
	}
	within("accessTokenLifespan", l.AccessToken, maxAccessToken)
	within("accessCodeLifespan", l.AccessCode, maxAccessCode)
	within("actionTokenGeneratedByUserLifespan", l.UserActionToken, maxUserActionToken)
	within("ssoSessionIdleTimeout", l.SessionIdle, maxSessionIdle)
	within("ssoSessionMaxLifespan", l.SessionMax, maxSession)
	l.want(l.OfflineMaxEnabled, "offline sessions never end")
}

func (l *lint) refreshRotation() {
	l.want(l.RevokeRefreshToken, "a stolen refresh token works again and again")
	l.want(l.RefreshTokenReuse != nil && *l.RefreshTokenReuse == 0, "refreshTokenMaxReuse is not 0")
}

func (l *lint) bruteForce() {
	l.want(l.BruteForceProtected, "passwords may be guessed for ever")
	l.want(l.FailureFactor > 0 && l.FailureFactor <= maxFailures, "failureFactor is %d, not between 1 and %d", l.FailureFactor, maxFailures)
	l.want(l.WaitIncrement >= minLockOut, "waitIncrementSeconds is %d, less than %d", l.WaitIncrement, minLockOut)
	l.want(!l.PermanentLockout, "anybody could lock anybody out for good")
}

var lengthPolicy = regexp.MustCompile(`\blength\((\d+)\)`)

func (l *lint) passwords() {
	found := lengthPolicy.FindStringSubmatch(l.PasswordPolicy)
	length := 0
	if found != nil {
		length, _ = strconv.Atoi(found[1]) // digits
	}
	l.want(length >= minPasswordLength, "passwordPolicy asks for %d characters, not %d", length, minPasswordLength)
}

func (l *lint) oneTimeCodes() {
	l.want(l.OTPType == "totp" && l.OTPDigits >= 6, "one-time codes are %s of %d digits", l.OTPType, l.OTPDigits)
	l.want(!l.OTPReusable, "a code that was seen works again")
}

func (l *lint) events() {
	l.want(l.EventsEnabled, "eventsEnabled is off")
	l.want(l.EventsExpiration > 0, "events are kept for ever")
	for _, kind := range tellTale {
		l.want(slices.Contains(l.EnabledEventTypes, kind), "%s is not recorded", kind)
	}
}

func (l *lint) adminEvents() {
	l.want(l.AdminEvents, "adminEventsEnabled is off")
	l.want(!l.AdminEventsDetails, "admin events hold request bodies, and these personal data")
	seconds, err := strconv.Atoi(l.Attributes["adminEventsExpiration"])
	l.want(err == nil && seconds > 0, "admin events are kept for ever")
}

const userProfileProvider = "org.keycloak.userprofile.UserProfileProvider"

// userProfile: without a profile of its own the realm has Keycloak's, which is safe. One of its own
// replaces that, so it must not lose or open anything.
func (l *lint) userProfile() {
	for _, component := range l.Components[userProfileProvider] {
		for _, text := range component.Config["kc.user.profile.config"] {
			var profile struct {
				UnmanagedAttributePolicy string
				Attributes               []struct {
					Name        string
					Permissions struct{ Edit []string }
				}
			}
			if err := json.Unmarshal([]byte(text), &profile); err != nil {
				l.want(false, "the profile cannot be read: %v", err)
				continue
			}
			policy := profile.UnmanagedAttributePolicy
			l.want(policy == "" || policy == "ADMIN_EDIT" || policy == "ADMIN_VIEW",
				"unmanagedAttributePolicy %s: ENABLED lets people write attributes about themselves, DISABLED fails the import", policy)
			missing := []string{"username", "email", "firstName", "lastName"}
			for _, a := range profile.Attributes {
				if slices.Contains(missing, a.Name) {
					missing = slices.DeleteFunc(missing, func(name string) bool { return name == a.Name })
					continue
				}
				l.want(!slices.Contains(a.Permissions.Edit, "user"), "people may write attribute %s about themselves", a.Name)
			}
			l.want(len(missing) == 0, "the profile loses %s", strings.Join(missing, ", "))
		}
	}
}

func (l *lint) levels() {
	var levels map[string]int
	err := json.Unmarshal([]byte(l.Attributes["acr.loa.map"]), &levels)
	l.want(err == nil && len(levels) == 2 && levels["1"] == 1 && levels["2"] == 2, "acr.loa.map is %q", l.Attributes["acr.loa.map"])
}

// step is an execution of the bound flow with the level of the sub-flow it is in.
type step struct {
	name, requirement string
	config            map[string]string
	level             string
}

// steps follows a flow; what it names has to be there.
func (l *lint) steps(flow string) []step {
	var out []step
	var follow func(alias, requirement, level string, depth int)
	follow = func(alias, requirement, level string, depth int) {
		at := slices.IndexFunc(l.Flows, func(f lintFlow) bool { return f.Alias == alias })
		if at < 0 || depth > len(l.Flows) {
			out = append(out, step{name: "missing flow " + alias})
			return
		}
		for _, e := range l.Flows[at].Executions {
			if e.FlowAlias != "" {
				follow(e.FlowAlias, e.Requirement, level, depth+1)
				continue
			}
			s := step{name: e.Authenticator, requirement: e.Requirement, level: level}
			if e.Config != "" {
				at := slices.IndexFunc(l.FlowConfigs, func(c struct {
					Alias  string
					Config map[string]string
				}) bool {
					return c.Alias == e.Config
				})
				if at < 0 {
					out = append(out, step{name: "missing configuration " + e.Config})
					continue
				}
				s.config = l.FlowConfigs[at].Config
			}
			if s.name == "conditional-level-of-authentication" && requirement == "CONDITIONAL" {
				level = s.config["loa-condition-level"]
				s.level = level
			}
			out = append(out, s)
		}
	}
	follow(flow, "", "", 0)
	return out
}

// find returns the step of a name at a level.
func find(steps []step, name, level string) (step, bool) {
	at := slices.IndexFunc(steps, func(s step) bool { return s.name == name && s.level == level })
	if at < 0 {
		return step{}, false
	}
	return steps[at], true
}

// passwordReset holds the way back in by e-mail to the password: the built-in flow has people set up
// their one-time code anew, so that whoever has the mailbox has both factors.
func (l *lint) passwordReset() {
	if !isTrue(l.ResetPassword) {
		return
	}
	for _, s := range l.steps(l.ResetFlow) {
		l.want(!strings.HasPrefix(s.name, "missing "), "password reset: %s", s.name)
		l.want(s.name != "reset-otp", "whoever can read a mailbox can replace the one-time code")
	}
}

func (l *lint) stepUpFlow() {
	steps := l.steps(l.BrowserFlow)
	for _, s := range steps {
		l.want(!strings.HasPrefix(s.name, "missing "), "%s", s.name)
	}
	for level, factor := range map[string]string{"1": "auth-username-password-form", "2": "auth-otp-form"} {
		condition, ok := find(steps, "conditional-level-of-authentication", level)
		l.want(ok && condition.requirement == "REQUIRED", "no sub-flow is for level %s", level)
		s, ok := find(steps, factor, level)
		l.want(ok && s.requirement == "REQUIRED", "level %s can be had without %s", level, factor)
	}
	condition, _ := find(steps, "conditional-level-of-authentication", "2")
	age, err := strconv.Atoi(condition.config["loa-max-age"])
	l.want(err == nil && age >= 0 && age <= maxLevel2Age, "level 2 is good for %q seconds, more than %d", condition.config["loa-max-age"], maxLevel2Age)
}

func (l *lint) amr() {
	for level, factor := range map[string]string{"1": "auth-username-password-form", "2": "auth-otp-form"} {
		s, _ := find(l.steps(l.BrowserFlow), factor, level)
		l.want(s.config["default.reference.value"] != "", "%s has no reference value, so that amr is empty", factor)
	}
	for _, c := range l.fronts() {
		l.want(slices.ContainsFunc(c.ProtocolMappers, func(m ProtocolMapper) bool {
			return m.Kind == "oidc-amr-mapper" && m.Config["access.token.claim"] == "true"
		}),
			"tokens of %s have no amr", c.ID)
	}
}
