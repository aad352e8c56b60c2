package authz

import (
	"fmt"
	"slices"
	"strings"
)

// Describe is a resource from what somebody outside says of it, with the names and types of the
// public vocabulary. An attribute that no policy knows is an error, so that a misspelt one is not
// mistaken for an answer.
func Describe(kind, id, org string, attr map[string]any) (Resource, error) {
	r := Resource{Kind: kind, ID: id, OrgID: org, Extra: map[string]any{}}
	switch { // what only this kind has, and its schema wants
	case kind == "patient_record":
		r.Extra[clinicianID] = ""
	case slices.Contains(rolesKinds, kind):
		r.Extra[orgRoles] = []any{}
	}
	texts := map[string]*string{
		"team_id":      &r.TeamID,
		"owner_id":     &r.OwnerID,
		"sensitivity":  &r.Sensitivity,
		"org_status":   &r.OrgStatus,
		"license_tier": &r.LicenseTier,
	}
	for name, value := range attr {
		if err := r.describe(texts, name, value); err != nil {
			return Resource{}, err
		}
	}
	return r, nil
}

func (r *Resource) describe(texts map[string]*string, name string, value any) error {
	if target, ok := texts[name]; ok {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s must be a string", name)
		}
		if allowed := enums[name]; allowed != nil && !slices.Contains(allowed, text) {
			return fmt.Errorf("%s must be one of %s", name, strings.Join(allowed, ", "))
		}
		*target = text
		return nil
	}
	switch {
	case name == "pii":
		pii, ok := value.(bool)
		if !ok {
			return fmt.Errorf("pii must be true or false")
		}
		r.PII = pii
	case name == "org_id":
		if value != r.OrgID {
			return fmt.Errorf("org_id must be what resource.org_id says")
		}
	case name == clinicianID && r.Kind == "patient_record":
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s must be a string", name)
		}
		r.Extra[name] = text
	case name == orgRoles && slices.Contains(rolesKinds, r.Kind):
		roles, ok := value.([]any)
		for _, role := range roles {
			text, isText := role.(string)
			ok = ok && isText && slices.Contains(knownOrgRoles, text)
		}
		if !ok {
			return fmt.Errorf("%s must be a list of %s", name, strings.Join(knownOrgRoles, ", "))
		}
		r.Extra[name] = roles
	default:
		return fmt.Errorf("%s is not an attribute of %s", name, r.Kind)
	}
	return nil
}

const (
	clinicianID = "clinician_id"
	orgRoles    = "org_roles"
)

// rolesKinds are the kinds that confer organisation roles.
var rolesKinds = []string{"membership", "invitation", "api_key"}

var knownOrgRoles = []string{"owner", "admin", "billing", "auditor", "member", "guest"}

var enums = map[string][]string{
	"sensitivity":  {"public", "internal", "confidential", "restricted"},
	"org_status":   {"active", "suspended"},
	"license_tier": {"free", "pro", "enterprise"},
}
