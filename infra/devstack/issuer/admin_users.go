package issuer

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"encore.app/infra/keycloak/realm"
)

var errNoUser = &adminError{status: http.StatusNotFound, Error: "User not found"}

// adminUser is a user as the admin API shows and takes it; what is absent from an update stays.
type adminUser struct {
	ID              string    `json:"id"`
	Username        string    `json:"username"`
	Email           string    `json:"email,omitempty"`
	EmailVerified   *bool     `json:"emailVerified,omitempty"`
	Enabled         *bool     `json:"enabled,omitempty"`
	FirstName       *string   `json:"firstName,omitempty"`
	LastName        *string   `json:"lastName,omitempty"`
	RequiredActions *[]string `json:"requiredActions,omitempty"`
	TOTP            bool      `json:"totp"`
}

func describe(u *realm.User) adminUser {
	actions := slices.Clone(u.RequiredActions)
	if actions == nil {
		actions = []string{}
	}
	// Copies: the answer is written without the lock.
	verified, enabled, first, last := u.EmailVerified, u.Enabled, u.FirstName, u.LastName
	return adminUser{
		ID: u.ID, Username: u.Username, Email: u.Email, EmailVerified: &verified, Enabled: &enabled,
		FirstName: &first, LastName: &last, RequiredActions: &actions, TOTP: u.OTPSecret() != "",
	}
}

// apply changes a user as far as an update says something.
func (a adminUser) apply(u *realm.User) {
	set(&u.EmailVerified, a.EmailVerified)
	set(&u.Enabled, a.Enabled)
	set(&u.FirstName, a.FirstName)
	set(&u.LastName, a.LastName)
	set(&u.RequiredActions, a.RequiredActions)
	if a.Email != "" {
		u.Email = strings.ToLower(a.Email)
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// people are the users who are no service accounts.
func (i *Issuer) people() []*realm.User {
	var list []*realm.User
	for _, u := range i.realm.Users {
		if u.ServiceAccountClient == "" {
			list = append(list, u)
		}
	}
	return list
}

func (i *Issuer) userOf(r *http.Request) *realm.User { return i.userByID(r.PathValue("id")) }

func (i *Issuer) userByID(id string) *realm.User {
	for _, u := range i.people() {
		if u.ID == id {
			return u
		}
	}
	return nil
}

func (i *Issuer) listUsers(r *http.Request) (any, *adminError) {
	query := r.URL.Query()
	matches := func(have, want string) bool {
		if query.Get("exact") == "true" {
			return strings.EqualFold(have, want)
		}
		return strings.Contains(strings.ToLower(have), strings.ToLower(want))
	}
	list := []adminUser{}
	for _, u := range i.people() {
		if matchesAll(query, u, matches) {
			list = append(list, describe(u))
		}
	}
	return window(r, list), nil
}

func matchesAll(query url.Values, u *realm.User, matches func(have, want string) bool) bool {
	for name, have := range map[string]string{"username": u.Username, "email": u.Email} {
		if want := query.Get(name); want != "" && !matches(have, want) {
			return false
		}
	}
	want := query.Get("search")
	return want == "" || matches(u.Username, want) || matches(u.Email, want)
}

func (i *Issuer) createUser(r *http.Request) (any, *adminError) {
	body, refused := readBody[adminUser](r)
	if refused != nil {
		return nil, refused
	}
	name := strings.ToLower(body.Username)
	if name == "" {
		name = strings.ToLower(body.Email) // registrationEmailAsUsername
	}
	if name == "" {
		return nil, &adminError{status: http.StatusBadRequest, Message: "User name is missing"}
	}
	for _, u := range i.realm.Users {
		if strings.EqualFold(u.Username, name) {
			return nil, &adminError{status: http.StatusConflict, Message: "User exists with same username"}
		}
		if body.Email != "" && strings.EqualFold(u.Email, body.Email) {
			return nil, &adminError{status: http.StatusConflict, Message: "User exists with same email"}
		}
	}
	u := &realm.User{ID: uuid.NewString(), Username: name}
	body.apply(u)
	i.realm.Users = append(i.realm.Users, u)
	return created{"/users/" + u.ID}, nil
}

func (i *Issuer) readUser(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	return describe(u), nil
}

func (i *Issuer) updateUser(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	body, refused := readBody[adminUser](r)
	if refused == nil {
		body.apply(u)
	}
	return nil, refused
}

func (i *Issuer) deleteUser(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	u.Enabled = false // what is still signed in ends with it
	i.realm.Users = slices.DeleteFunc(slices.Clone(i.realm.Users), func(other *realm.User) bool { return other == u })
	for _, o := range i.realm.Organizations {
		o.Members = slices.DeleteFunc(o.Members, func(m realm.Member) bool { return m.Username == u.Username })
	}
	return nil, nil
}

func (i *Issuer) resetPassword(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	body, refused := readBody[struct {
		Value     string `json:"value"`
		Temporary bool   `json:"temporary"`
	}](r)
	if refused != nil {
		return nil, refused
	}
	u.Credentials = append(without(u, "password"), realm.Credential{Type: "password", Value: body.Value})
	if body.Temporary && !slices.Contains(u.RequiredActions, "UPDATE_PASSWORD") {
		u.RequiredActions = append(slices.Clone(u.RequiredActions), "UPDATE_PASSWORD")
	}
	return nil, nil
}

// without are the user's credentials but those of a kind.
func without(u *realm.User, kind string) []realm.Credential {
	return slices.DeleteFunc(slices.Clone(u.Credentials), func(c realm.Credential) bool { return c.Type == kind })
}

// adminCredential shows that there is a credential, never what it is.
type adminCredential struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

func credentialID(u *realm.User, c realm.Credential) string {
	return derivedID("credential:" + u.ID + ":" + c.Type)
}

func (i *Issuer) listCredentials(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	list := []adminCredential{}
	for _, c := range u.Credentials {
		list = append(list, adminCredential{ID: credentialID(u, c), Type: c.Type})
	}
	return list, nil
}

func (i *Issuer) deleteCredential(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	left := slices.DeleteFunc(slices.Clone(u.Credentials), func(c realm.Credential) bool {
		return credentialID(u, c) == r.PathValue("credential")
	})
	if len(left) == len(u.Credentials) {
		return nil, &adminError{status: http.StatusNotFound, Error: "Credential not found"}
	}
	u.Credentials = left
	return nil, nil
}

func (i *Issuer) logoutUser(r *http.Request) (any, *adminError) {
	u := i.userOf(r)
	if u == nil {
		return nil, errNoUser
	}
	for _, s := range i.sessions {
		if s.user == u && !s.ended {
			i.end(s)
		}
	}
	return nil, nil
}

func (i *Issuer) unlockUser(r *http.Request) (any, *adminError) {
	delete(i.failures, r.PathValue("id"))
	return nil, nil
}

func (i *Issuer) listRoleMembers(r *http.Request) (any, *adminError) {
	role, known := r.PathValue("role"), false
	list := []adminUser{}
	for _, named := range i.realm.Roles.Realm {
		known = known || named.Name == role
	}
	if !known {
		return nil, &adminError{status: http.StatusNotFound, Error: "Could not find role"}
	}
	for _, u := range i.people() {
		if slices.Contains(u.RealmRoles, role) {
			list = append(list, describe(u))
		}
	}
	return window(r, list), nil
}

func queryInt(r *http.Request, name string, fallback int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return fallback
	}
	return n
}

// derivedID is the stable id of something that the files give none.
func derivedID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("tenantry:"+name)).String()
}

// rawText is a body that Keycloak takes as a JSON string and as bare text.
func rawText(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return strings.TrimSpace(string(raw))
}
