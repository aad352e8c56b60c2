//go:build happy

package happy

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"tenantry/app"
	"tenantry/client"
	"tenantry/org"
)

const acme = "00000000-0000-7000-8000-0000000000ac"

// signIn is an access token of a demo user, by the direct grant that development has.
func signIn(t *testing.T, user, console string) string {
	t.Helper()
	resp, err := http.PostForm(env(t, "ISSUER")+"/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {console}, "username": {user}, "password": {"demo"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("sign-in of %s: %s, %v", user, resp.Status, err)
	}
	return answer.Token
}

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}

func member(t *testing.T) *app.Client {
	return app.New(env(t, "BASE_URL"), signIn(t, "ada@acme.test", "app"))
}

func owner(t *testing.T) *org.Client {
	return org.New(env(t, "BASE_URL"), signIn(t, "ada@acme.test", "org-console"))
}

// ok fails the test unless the call went well.
func ok[T any](answer T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, reason string) {
	t.Helper()
	if client.Reason(err) != reason {
		t.Fatalf("got %v, want %s", err, reason)
	}
}

func TestAProjectsLife(t *testing.T) {
	ctx, api := t.Context(), member(t)
	me := ok(api.Me(ctx))(t)
	if me.User.Email != "ada@acme.test" || !slices.ContainsFunc(me.Memberships, func(m app.Membership) bool { return m.OrgID == acme }) {
		t.Fatalf("me: %+v", me)
	}
	project := app.CreateResourceRequest{Title: "From the Go client", Sensitivity: "internal", PII: false}
	key := client.Key("happy-" + time.Now().Format(time.RFC3339Nano))
	made := ok(api.CreateProject(ctx, acme, project, key))(t)
	var headers http.Header
	if again := ok(api.CreateProject(ctx, acme, project, key, client.Headers(&headers)))(t); again.ID != made.ID || headers.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same key made %s and %s", made.ID, again.ID)
	}
	read := ok(api.ReadProject(ctx, acme, made.ID, client.Headers(&headers)))(t)
	if read.Title != project.Title {
		t.Errorf("read: %+v", read)
	}
	title := "Renamed"
	update := app.UpdateResourceRequest{Title: &title, TeamID: client.Null[string]()}
	if updated := ok(api.UpdateProject(ctx, acme, made.ID, update, client.IfMatch(headers.Get("ETag"))))(t); updated.Title != title || updated.Version <= read.Version {
		t.Errorf("updated: %+v", updated)
	}
	_, err := api.UpdateProject(ctx, acme, made.ID, update, client.IfMatch(headers.Get("ETag")))
	refused(t, err, "version_conflict")

	listed := false
	for p, err := range client.All(func(cursor string) ([]app.Resource, string, error) {
		page, err := api.ListProjects(ctx, acme, app.ListProjectsParams{Limit: 20, Cursor: cursor})
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	}) {
		done(t, err)
		listed = listed || p.ID == made.ID
	}
	if !listed {
		t.Error("the project is in no page of the list")
	}
	proven(t, ctx, made.ID)
	done(t, api.DeleteProject(ctx, acme, made.ID))
	_, err = api.ReadProject(ctx, acme, made.ID)
	refused(t, err, "not_found")

	_, err = api.CreateProject(ctx, acme, app.CreateResourceRequest{Sensitivity: "secret"})
	refused(t, err, "validation_failed")
}

// proven waits until the audit log has the project's creation, and asks for the proof.
func proven(t *testing.T, ctx context.Context, project string) {
	t.Helper()
	api := owner(t)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		page := ok(api.ListEvents(ctx, acme, org.ListEventsParams{Resource: project, Action: "create"}))(t)
		if len(page.Items) > 0 {
			e := page.Items[0]
			proof := ok(api.ProveEvent(ctx, acme, e.ID))(t)
			if proof.LeafHash != e.LeafHash || proof.LeafIndex != e.Seq-1 || proof.TreeSize <= proof.LeafIndex || proof.Checkpoint == "" {
				t.Errorf("event %+v, proof %+v", e, proof)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("the event is not in the log")
		case <-tick.C:
		}
	}
}

func TestAdministration(t *testing.T) {
	ctx, api := t.Context(), owner(t)
	name := "Go client " + time.Now().Format(time.RFC3339Nano)
	team := ok(api.CreateTeam(ctx, acme, org.TeamRequest{Name: name}))(t)
	members := ok(api.ListMembers(ctx, acme, org.ListMembersParams{Limit: 200}))(t)
	i := slices.IndexFunc(members.Items, func(m org.Member) bool { return m.Email == "bob@acme.test" })
	if i < 0 {
		t.Fatalf("bob is no member: %+v", members)
	}
	bob := members.Items[i].UserID
	ok(api.PutTeamMember(ctx, acme, team.ID, bob, org.TeamRolesRequest{TeamRoles: []string{"member"}}))(t)
	if in := ok(api.ListTeamMembers(ctx, acme, team.ID, org.ListTeamMembersParams{}))(t); len(in.Items) != 1 || in.Items[0].UserID != bob {
		t.Errorf("in the team: %+v", in)
	}
	done(t, api.RemoveTeamMember(ctx, acme, team.ID, bob))
	done(t, api.DeleteTeam(ctx, acme, team.ID))

	invitation := ok(api.Invite(ctx, acme, org.InviteRequest{Email: "go-client@happy.test", OrgRoles: []string{"member"}}))(t)
	if invitation.Status != "pending" || invitation.Token == nil {
		t.Errorf("invitation: %+v", invitation)
	}
	done(t, api.RevokeInvitation(ctx, acme, invitation.ID))

	const key = "resources.default_sensitivity"
	ok(api.PutSetting(ctx, acme, key, org.ReplaceSettingRequest{Value: json.RawMessage(`"confidential"`)}))(t)
	if s := ok(member(t).EffectiveSettingOf(ctx, acme, key))(t); string(s.Value) != `"confidential"` || s.Source != "org" {
		t.Errorf("setting: %s from %s", s.Value, s.Source)
	}
	ok(api.DeleteSetting(ctx, acme, key))(t)

	if l := ok(api.GetLicense(ctx, acme))(t); l.Tier != "enterprise" || l.OrgID != acme {
		t.Errorf("licence: %+v", l)
	}
	checks := org.CheckRequest{Checks: []org.CheckItem{
		{Resource: org.CheckResource{Kind: "team", OrgID: ptr(acme)}, Actions: []string{"create"}},
		{Resource: org.CheckResource{Kind: "queue"}, Actions: []string{"queue:purge"}},
	}}
	answer := ok(api.CheckAccess(ctx, checks))(t)
	if answer.Results[0].Actions["create"] != "allow" || answer.Results[1].Actions["queue:purge"] != "deny" {
		t.Errorf("checks: %+v", answer)
	}
}

func ptr[T any](v T) *T { return &v }

// An answer that is read as it comes.
func TestAnExport(t *testing.T) {
	body := ok(owner(t).ExportEvents(t.Context(), acme, org.ExportEventsParams{Format: "ndjson"}))(t)
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() || !json.Valid(lines.Bytes()) {
		t.Errorf("first line: %s, %v", lines.Bytes(), lines.Err())
	}
}
