package keycloak

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// Organization is what an organisation is to look like.
type Organization struct {
	Alias   string // never changes
	Name    string
	Enabled bool
	Members []string // user ids; all of them, in any order
}

// Changes is what a sync did.
type Changes struct {
	Created bool
	Updated bool
	Added   []string
	Removed []string
}

// organization is Keycloak's own form. Domains are kept as they are.
type organization struct {
	ID      string   `json:"id,omitempty"`
	Name    string   `json:"name"`
	Alias   string   `json:"alias"`
	Enabled bool     `json:"enabled"`
	Domains []domain `json:"domains,omitempty"`
}

type domain struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
}

func organizationPath(id string, more ...string) string {
	p := "/organizations/" + url.PathEscape(id)
	for _, m := range more {
		p += "/" + url.PathEscape(m)
	}
	return p
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

func (c *Client) findOrganization(ctx context.Context, alias string) (organization, error) {
	const op = "find organisation"
	found, err := get[[]organization](ctx, c, op, "/organizations", url.Values{"q": {"alias:" + alias}})
	if err != nil {
		return organization{}, err
	}
	// A server that does not know the query answers with everything.
	at := slices.IndexFunc(found, func(o organization) bool { return o.Alias == alias })
	if at < 0 {
		return organization{}, &Error{Op: op, Err: ErrNotFound}
	}
	return found[at], nil
}

// ensureOrganization makes an organisation or brings its name and state in line.
func (c *Client) ensureOrganization(ctx context.Context, want Organization) (organization, Changes, error) {
	has, err := c.findOrganization(ctx, want.Alias)
	if isNotFound(err) {
		var created bool
		if has, created, err = c.createOrganization(ctx, want); created {
			return has, Changes{Created: true}, err
		}
	}
	if err != nil || has.Name == want.Name && has.Enabled == want.Enabled {
		return has, Changes{}, err
	}
	has.Name, has.Enabled = want.Name, want.Enabled
	err = c.put(ctx, "update organisation", organizationPath(has.ID), has)
	return has, Changes{Updated: err == nil}, err
}

// createOrganization makes an organisation, or finds the one that another call made meanwhile.
func (c *Client) createOrganization(ctx context.Context, want Organization) (has organization, created bool, err error) {
	const op = "create organisation"
	got, err := c.do(ctx, call{
		op: op, method: http.MethodPost, path: "/organizations", want: []int{http.StatusCreated, http.StatusConflict},
		body: organization{Name: want.Name, Alias: want.Alias, Enabled: want.Enabled},
	})
	if err != nil {
		return has, false, err
	}
	has, err = c.findOrganization(ctx, want.Alias)
	if isNotFound(err) { // the alias is free, so it is the name that another organisation has
		err = &Error{Op: op, Status: got.status, Err: errors.New("another organisation has the name")}
	}
	return has, got.status == http.StatusCreated, err
}

// SyncOrganization makes the organisation what it is to be, members included, and says what that took.
// Where it fails half-way the changes are those that were made; the next call makes the rest.
func (c *Client) SyncOrganization(ctx context.Context, want Organization) (Changes, error) {
	has, changes, err := c.ensureOrganization(ctx, want)
	if err != nil {
		return changes, err
	}
	members, err := all[User](ctx, c, "list members", organizationPath(has.ID, "members"))
	if err != nil {
		return changes, err
	}
	present := map[string]bool{}
	for _, m := range members {
		present[m.ID] = true
	}
	wanted := map[string]bool{}
	for _, id := range want.Members {
		if wanted[id] {
			continue
		}
		wanted[id] = true
		if present[id] {
			continue
		}
		added, err := c.addMember(ctx, has.ID, id)
		if err != nil {
			return changes, err
		}
		if added {
			changes.Added = append(changes.Added, id)
		}
	}
	for _, m := range members {
		if wanted[m.ID] {
			continue
		}
		if err := c.delete(ctx, "remove member", organizationPath(has.ID, "members", m.ID)); err != nil {
			return changes, err
		}
		changes.Removed = append(changes.Removed, m.ID)
	}
	return changes, nil
}

// EnsureMember makes an organisation with one member, or adds the member to the one there is.
func (c *Client) EnsureMember(ctx context.Context, alias, name, userID string) error {
	has, err := c.findOrganization(ctx, alias)
	if isNotFound(err) {
		has, _, err = c.ensureOrganization(ctx, Organization{Alias: alias, Name: name, Enabled: true})
	}
	if err != nil {
		return err
	}
	added, err := c.addMember(ctx, has.ID, userID)
	if err == nil && !added {
		err = &Error{Op: "add member", Err: ErrNotFound}
	}
	return err
}

// addMember is content with who is a member already. It adds nobody where there is no such account,
// which Keycloak calls a bad request.
func (c *Client) addMember(ctx context.Context, organizationID, userID string) (added bool, _ error) {
	got, err := c.do(ctx, call{
		op: "add member", method: http.MethodPost, path: organizationPath(organizationID, "members"), body: userID,
		want: []int{http.StatusCreated, http.StatusNoContent, http.StatusConflict, http.StatusBadRequest, http.StatusNotFound},
	})
	return err == nil && got.status != http.StatusBadRequest && got.status != http.StatusNotFound, err
}
