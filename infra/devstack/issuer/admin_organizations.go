package issuer

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"encore.app/infra/keycloak/realm"
)

// adminOrganization is an organisation as the admin API shows and takes it.
type adminOrganization struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Alias   string        `json:"alias"`
	Enabled *bool         `json:"enabled,omitempty"`
	Domains []adminDomain `json:"domains,omitempty"`
}

type adminDomain struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
}

func describeOrganization(o *realm.Organization) adminOrganization {
	enabled := o.Enabled
	out := adminOrganization{ID: o.ID, Name: o.Name, Alias: o.Alias, Enabled: &enabled}
	for _, d := range o.Domains {
		out.Domains = append(out.Domains, adminDomain(d))
	}
	return out
}

func (a adminOrganization) apply(o *realm.Organization) {
	o.Name = a.Name
	set(&o.Enabled, a.Enabled)
	o.Domains = nil
	for _, d := range a.Domains {
		o.Domains = append(o.Domains, realm.Domain(d))
	}
}

func (i *Issuer) organizationOf(r *http.Request) *realm.Organization {
	for _, o := range i.realm.Organizations {
		if o.ID == r.PathValue("id") {
			return o
		}
	}
	return nil
}

// listOrganizations answers q=alias:NAME and search=PART-OF-A-NAME.
func (i *Issuer) listOrganizations(r *http.Request) (any, *adminError) {
	alias, byAlias := strings.CutPrefix(r.URL.Query().Get("q"), "alias:")
	search := strings.ToLower(r.URL.Query().Get("search"))
	list := []adminOrganization{}
	for _, o := range i.realm.Organizations {
		if (!byAlias || o.Alias == alias) && strings.Contains(strings.ToLower(o.Name), search) {
			list = append(list, describeOrganization(o))
		}
	}
	return window(r, list), nil
}

func (i *Issuer) createOrganization(r *http.Request) (any, *adminError) {
	body, refused := readBody[adminOrganization](r)
	if refused != nil {
		return nil, refused
	}
	if body.Name == "" {
		return nil, &adminError{status: http.StatusBadRequest, Message: "Name can not be null"}
	}
	if body.Alias == "" {
		body.Alias = body.Name
	}
	for _, o := range i.realm.Organizations {
		if o.Alias == body.Alias {
			return nil, &adminError{status: http.StatusConflict, Message: "A organization with the same alias already exists"}
		}
		if o.Name == body.Name {
			return nil, &adminError{status: http.StatusConflict, Message: "A organization with the same name already exists."}
		}
	}
	o := &realm.Organization{ID: uuid.NewString(), Alias: body.Alias, Enabled: true}
	body.apply(o)
	i.realm.Organizations = append(i.realm.Organizations, o)
	return created{"/organizations/" + o.ID}, nil
}

func (i *Issuer) readOrganization(r *http.Request) (any, *adminError) {
	o := i.organizationOf(r)
	if o == nil {
		return nil, errAdminNotFound
	}
	return describeOrganization(o), nil
}

func (i *Issuer) updateOrganization(r *http.Request) (any, *adminError) {
	o := i.organizationOf(r)
	if o == nil {
		return nil, errAdminNotFound
	}
	body, refused := readBody[adminOrganization](r)
	if refused != nil {
		return nil, refused
	}
	if body.Alias != "" && body.Alias != o.Alias {
		return nil, &adminError{status: http.StatusBadRequest, Message: "Cannot change the alias"}
	}
	body.apply(o)
	return nil, nil
}

func (i *Issuer) deleteOrganization(r *http.Request) (any, *adminError) {
	o := i.organizationOf(r)
	if o == nil {
		return nil, errAdminNotFound
	}
	i.realm.Organizations = slices.DeleteFunc(slices.Clone(i.realm.Organizations), func(other *realm.Organization) bool { return other == o })
	return nil, nil
}

func (i *Issuer) listMembers(r *http.Request) (any, *adminError) {
	o := i.organizationOf(r)
	if o == nil {
		return nil, errAdminNotFound
	}
	list := []adminUser{}
	for _, u := range i.people() {
		if slices.Contains(o.Members, realm.Member{Username: u.Username}) {
			list = append(list, describe(u))
		}
	}
	return window(r, list), nil
}

func (i *Issuer) addMember(r *http.Request) (any, *adminError) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errAdminBody
	}
	o, u := i.organizationOf(r), i.userByID(rawText(raw))
	if o == nil || u == nil {
		return nil, errAdminNotFound
	}
	member := realm.Member{Username: u.Username}
	if slices.Contains(o.Members, member) {
		return nil, &adminError{status: http.StatusConflict, Message: "User is already a member of the organization."}
	}
	o.Members = append(o.Members, member)
	return created{"/organizations/" + o.ID + "/members/" + u.ID}, nil
}

func (i *Issuer) removeMember(r *http.Request) (any, *adminError) {
	o, u := i.organizationOf(r), i.userByID(r.PathValue("user"))
	if o == nil || u == nil || !slices.Contains(o.Members, realm.Member{Username: u.Username}) {
		return nil, errAdminNotFound
	}
	o.Members = slices.DeleteFunc(o.Members, func(m realm.Member) bool { return m.Username == u.Username })
	return nil, nil
}
