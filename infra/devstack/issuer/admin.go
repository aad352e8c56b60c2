package issuer

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"encore.app/infra/keycloak/realm"
)

// The part of Keycloak's admin API that the app and its operators use. Changes live as long as the
// process: the realm files are never written.

const managementClient = "realm-management" // owns the roles that the admin API asks for

// adminError is a refusal in the admin API's words.
type adminError struct {
	status  int
	Error   string `json:"error,omitempty"`
	Message string `json:"errorMessage,omitempty"`
}

var (
	errAdminUnauthorized = &adminError{status: http.StatusUnauthorized, Error: "HTTP 401 Unauthorized"}
	errAdminForbidden    = &adminError{status: http.StatusForbidden, Error: "HTTP 403 Forbidden"}
	errAdminNotFound     = &adminError{status: http.StatusNotFound, Error: "HTTP 404 Not Found"}
	errNoClient          = &adminError{status: http.StatusNotFound, Error: "Could not find client"}
	errAdminBody         = &adminError{status: http.StatusBadRequest, Error: "unable to read contents from stream"}
)

// created is the answer to a POST that made something.
type created struct{ location string }

// adminHandler answers with a body, a created, nil for 204, or an error. It is called with i.mu held.
type adminHandler func(r *http.Request) (any, *adminError)

// handleAdmin serves the admin API. Each pattern names the roles of which the caller needs one.
func (i *Issuer) handleAdmin(mux *http.ServeMux) {
	handle := func(pattern string, h adminHandler, roles ...string) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /admin"+i.path+path, func(w http.ResponseWriter, r *http.Request) {
			noStore(w)
			body, refused := i.admin(r, h, roles)
			switch body := body.(type) {
			case created:
				w.Header().Set("Location", strings.TrimSuffix(i.issuer, i.path)+"/admin"+i.path+body.location)
				w.WriteHeader(http.StatusCreated)
				return
			case nil:
				if refused == nil {
					w.WriteHeader(http.StatusNoContent)
					return
				}
			}
			if refused != nil {
				writeJSON(w, refused.status, refused)
				return
			}
			writeJSON(w, http.StatusOK, body)
		})
	}
	const viewUsers, manageUsers = "view-users", "manage-users"
	handle("GET /users", i.listUsers, viewUsers, manageUsers)
	handle("POST /users", i.createUser, manageUsers)
	handle("GET /users/{id}", i.readUser, viewUsers, manageUsers)
	handle("PUT /users/{id}", i.updateUser, manageUsers)
	handle("DELETE /users/{id}", i.deleteUser, manageUsers)
	handle("PUT /users/{id}/reset-password", i.resetPassword, manageUsers)
	handle("GET /users/{id}/credentials", i.listCredentials, viewUsers, manageUsers)
	handle("DELETE /users/{id}/credentials/{credential}", i.deleteCredential, manageUsers)
	handle("POST /users/{id}/logout", i.logoutUser, manageUsers)
	handle("DELETE /attack-detection/brute-force/users/{id}", i.unlockUser, manageUsers)
	handle("GET /roles/{role}/users", i.listRoleMembers, "view-realm")

	const viewOrganizations, manageOrganizations = "view-organizations", "manage-organizations"
	handle("GET /organizations", i.listOrganizations, viewOrganizations, manageOrganizations)
	handle("POST /organizations", i.createOrganization, manageOrganizations)
	handle("GET /organizations/{id}", i.readOrganization, viewOrganizations, manageOrganizations)
	handle("PUT /organizations/{id}", i.updateOrganization, manageOrganizations)
	handle("DELETE /organizations/{id}", i.deleteOrganization, manageOrganizations)
	handle("GET /organizations/{id}/members", i.listMembers, viewOrganizations, manageOrganizations)
	handle("POST /organizations/{id}/members", i.addMember, manageOrganizations)
	handle("DELETE /organizations/{id}/members/{user}", i.removeMember, manageOrganizations)

	handle("GET /clients", i.listClients, "view-clients", "manage-clients")
	handle("PUT /clients/{id}", i.updateClient, "manage-clients")
	handle("POST /clients/{id}/client-secret", i.rotateSecret, "manage-clients")
}

// admin checks who asks, then answers. What a change tells the clients of ended sessions goes out
// when nothing is held.
func (i *Issuer) admin(r *http.Request, h adminHandler, roles []string) (any, *adminError) {
	kind, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return nil, errAdminUnauthorized
	}
	if _, ok := i.openAccess(raw); !ok {
		return nil, errAdminUnauthorized
	}
	var claims struct {
		Access map[string]struct {
			Roles []string `json:"roles"`
		} `json:"resource_access"`
	}
	if i.keys.open(raw, false, &claims) != nil {
		return nil, errAdminUnauthorized
	}
	has := claims.Access[managementClient].Roles
	if !slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(has, role) }) {
		return nil, errAdminForbidden
	}
	i.mu.Lock()
	body, refused := h(r)
	notices := i.takeNotices()
	i.mu.Unlock()
	i.deliver(r.Context(), notices)
	return body, refused
}

// readBody decodes a JSON body; members that are not served are passed over, as Keycloak's many are.
func readBody[T any](r *http.Request) (T, *adminError) {
	var body T
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		return body, errAdminBody
	}
	return body, nil
}

// window is the part of a list that first and max ask for.
func window[T any](r *http.Request, all []T) []T {
	first, max := queryInt(r, "first", 0), queryInt(r, "max", 100)
	first = min(first, len(all))
	out := all[first:min(first+max, len(all))]
	if out == nil {
		return []T{}
	}
	return out
}

// adminClient is a client as the admin API shows it.
type adminClient struct {
	ID       string `json:"id"`
	ClientID string `json:"clientId"`
	Enabled  bool   `json:"enabled"`
	Public   bool   `json:"publicClient"`
}

func (i *Issuer) listClients(r *http.Request) (any, *adminError) {
	list := []adminClient{}
	for _, c := range i.realm.Clients {
		if want := r.URL.Query().Get("clientId"); want == "" || want == c.ID {
			list = append(list, adminClient{ID: internalID(c), ClientID: c.ID, Enabled: c.Enabled, Public: c.Public})
		}
	}
	return window(r, list), nil
}

// internalID is the admin API's name for a client, which is not the one that OAuth uses.
func internalID(c *realm.Client) string { return derivedID("client:" + c.ID) }

func (i *Issuer) clientOf(r *http.Request) *realm.Client {
	for _, c := range i.realm.Clients {
		if internalID(c) == r.PathValue("id") {
			return c
		}
	}
	return nil
}

// updateClient changes where a client is told of sign-outs; the rest of it comes from the files.
func (i *Issuer) updateClient(r *http.Request) (any, *adminError) {
	c := i.clientOf(r)
	if c == nil {
		return nil, errNoClient
	}
	body, refused := readBody[struct {
		Attributes map[string]string `json:"attributes"`
	}](r)
	if refused != nil {
		return nil, refused
	}
	if to, ok := body.Attributes[backchannelURL]; ok {
		i.backchannel[c.ID] = to
	}
	return nil, nil
}

func (i *Issuer) rotateSecret(r *http.Request) (any, *adminError) {
	c := i.clientOf(r)
	if c == nil {
		return nil, errNoClient
	}
	i.secrets[c.ID] = randomID()
	return map[string]string{"type": "secret", "value": i.secrets[c.ID]}, nil
}
