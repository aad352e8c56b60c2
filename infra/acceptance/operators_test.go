//go:build acceptance

package acceptance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// operatorSecret is that of the demo realm's account for operators.
const operatorSecret = "demo-operator"

// TestTenantryctlSetsATenantUp: the command, the issuer and the app together, up to the owner's first look.
func TestTenantryctlSetsATenantUp(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "tenantryctl")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/tenantryctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctl := func(bearer string, args ...string) (out []byte, code int) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "TENANTRY_API_URL="+target.base, "TENANTRY_TOKEN="+bearer,
			"OIDC_ISSUER_URL="+target.issuer, "KEYCLOAK_CLIENT_ID=", "KEYCLOAK_CLIENT_SECRET="+operatorSecret)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		t.Logf("tenantryctl %s: %d %s", args[0], cmd.ProcessState.ExitCode(), stderr.String())
		return out, cmd.ProcessState.ExitCode()
	}
	slug := unique("ctl")
	provision := []string{"provision", "--json", "--slug", slug, "--name", "Made by " + slug, "--owner-email", "auditor@tenantry.test"}

	const refused = 4
	if _, code := ctl(root.token(t), provision...); code != refused {
		t.Errorf("without a second factor: exit code %d, want %d", code, refused)
	}
	admin := caller{user: root.user, client: root.client, mfa: true}
	out, code := ctl(admin.token(t), provision...)
	var made struct {
		Organization struct{ ID, Slug string }
		Invitation   struct{ Token string }
	}
	if err := json.Unmarshal(out, &made); code != 0 || err != nil || made.Invitation.Token == "" {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	owner := caller{user: "auditor@tenantry.test", client: "app"}.token(t)
	if r := call(t, owner, "POST", "/api/v1/app/invitations/accept", map[string]string{"token": made.Invitation.Token}); r.status/100 != 2 {
		t.Fatalf("the invitation: %d %s", r.status, r.body)
	}
	eventually(t, 10*time.Second, "the owner sees the organisation", func() bool {
		r := call(t, owner, "GET", "/api/v1/me", nil)
		return r.status == http.StatusOK && strings.Contains(string(r.body), made.Organization.ID)
	})
	if _, code := ctl(admin.token(t), provision...); code != 0 {
		t.Errorf("again: exit code %d", code)
	}
}

// TestASignOutAtTheIssuerReachesTheApp: the issuer tells the app over the back channel, and the app
// refuses the session's tokens.
func TestASignOutAtTheIssuerReachesTheApp(t *testing.T) {
	t.Parallel()
	tell(t, "org-console")
	form := url.Values{"grant_type": {"password"}, "client_id": {"org-console"}, "username": {"alan@acme.test"}, "password": {"demo"}}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	ask(t, http.MethodPost, target.issuer+"/protocol/openid-connect/token", "", form, &tokens)
	const path = "/api/v1/org/" + acme
	if r := call(t, tokens.Access, "GET", path, nil); r.status != http.StatusOK {
		t.Fatalf("before: %d %s", r.status, r.body)
	}
	ask(t, http.MethodPost, target.issuer+"/protocol/openid-connect/logout", "", url.Values{"client_id": {"org-console"}, "refresh_token": {tokens.Refresh}}, nil)
	var last reply
	eventually(t, 6*time.Second, "the app refuses the token", func() bool {
		last = call(t, tokens.Access, "GET", path, nil)
		return last.status == http.StatusUnauthorized
	})
	wantFailure(t, last, http.StatusUnauthorized, "token_revoked")
}

// tell has the issuer tell the app under test of sign-outs from a client.
func tell(t *testing.T, clientID string) {
	t.Helper()
	var token struct {
		Access string `json:"access_token"`
	}
	ask(t, http.MethodPost, target.issuer+"/protocol/openid-connect/token", "",
		url.Values{"grant_type": {"client_credentials"}, "client_id": {"tenantry-operator"}, "client_secret": {operatorSecret}}, &token)
	admin := strings.Replace(target.issuer, "/realms/", "/admin/realms/", 1)
	var found []struct {
		ID         string            `json:"id"`
		Attributes map[string]string `json:"attributes"`
	}
	ask(t, http.MethodGet, admin+"/clients?clientId="+clientID, token.Access, nil, &found)
	if len(found) != 1 {
		t.Fatalf("%d clients %s", len(found), clientID)
	}
	attributes := map[string]string{}
	for name, value := range found[0].Attributes {
		attributes[name] = value
	}
	attributes["backchannel.logout.url"] = target.base + "/oidc/backchannel-logout"
	ask(t, http.MethodPut, admin+"/clients/"+found[0].ID, token.Access, map[string]any{"clientId": clientID, "attributes": attributes}, nil)
}

// ask makes a request of the issuer that has to succeed. body is a form or JSON.
func ask(t *testing.T, method, address, bearer string, body, into any) {
	t.Helper()
	content, kind := reader(t, body), "application/json"
	if form, ok := body.(url.Values); ok {
		content, kind = strings.NewReader(form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequest(method, address, content)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, req.URL.Path, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}
