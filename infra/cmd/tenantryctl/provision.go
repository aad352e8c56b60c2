package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"encore.app/identity/keycloak"
)

// organization is what the app says of an organisation.
type organization struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// invitation is what the app says of an invitation; the token is told once.
type invitation struct {
	ID        string    `json:"id"`
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// provisioned is what came of it.
type provisioned struct {
	Organization organization `json:"organization"`
	Existed      bool         `json:"organization_existed"`
	Owner        struct {
		UserID            string `json:"user_id"`
		Email             string `json:"email"`
		AccountCreated    bool   `json:"account_created"`
		TemporaryPassword string `json:"temporary_password,omitempty"`
	} `json:"owner"`
	Invitation invitation `json:"invitation"`
}

func (p *provisioned) String() string {
	var out strings.Builder
	state := "made"
	if p.Existed {
		state = "there already"
	}
	fmt.Fprintf(&out, "organisation  %s  %s  (%s)\n", p.Organization.Slug, p.Organization.ID, state)
	state = "there already"
	if p.Owner.AccountCreated {
		state = "made"
	}
	fmt.Fprintf(&out, "owner         %s  %s  (account %s)\n", p.Owner.Email, p.Owner.UserID, state)
	if p.Owner.TemporaryPassword != "" {
		fmt.Fprintf(&out, "password      %s  (to be changed at the first sign-in; shown once)\n", p.Owner.TemporaryPassword)
	}
	fmt.Fprintf(&out, "invitation    %s  (until %s; shown once)\n", p.Invitation.Token, p.Invitation.ExpiresAt.Format(time.RFC3339))
	return out.String()
}

func provision(ctx context.Context, in *invocation, args []string) (fmt.Stringer, error) {
	apiURL := in.env("TENANTRY_API_URL")
	if apiURL == "" {
		apiURL = "http://127.0.0.1:4000"
	}
	slug, name := in.flags.String("slug", "", ""), in.flags.String("name", "", "")
	email := in.flags.String("owner-email", "", "")
	first, last := in.flags.String("first-name", "", ""), in.flags.String("last-name", "", "")
	withPassword := in.flags.Bool("temporary-password", false, "")
	in.flags.StringVar(&apiURL, "api", apiURL, "")
	token := in.flags.String("token", in.env("TENANTRY_TOKEN"), "")
	if err := in.parse(args, "slug", "name", "owner-email"); err != nil {
		return nil, err
	}
	app, err := newAPI(apiURL, *token)
	if err != nil {
		return nil, err
	}
	realm, err := in.keycloak()
	if err != nil {
		return nil, err
	}
	out := &provisioned{}
	out.Owner.Email = strings.ToLower(*email)

	// The app first: it knows which names are good and whether the caller may.
	if out.Organization, out.Existed, err = ensureOrganization(ctx, app, *slug, *name); err != nil {
		return nil, err
	}
	user, created, err := realm.EnsureUser(ctx, keycloak.NewUser{
		Email: out.Owner.Email, FirstName: *first, LastName: *last,
		RequiredActions: []string{keycloak.ActionVerifyEmail, keycloak.ActionUpdatePassword, keycloak.ActionConfigureTOTP},
	})
	if err != nil {
		return nil, err
	}
	out.Owner.UserID, out.Owner.AccountCreated = user.ID, created
	if created && *withPassword {
		out.Owner.TemporaryPassword = rand.Text()
		if err := realm.SetTemporaryPassword(ctx, user.ID, out.Owner.TemporaryPassword); err != nil {
			return nil, err
		}
	}
	if err := realm.EnsureMember(ctx, out.Organization.Slug, out.Organization.Name, user.ID); err != nil {
		return nil, err
	}
	out.Invitation, err = call[invitation](ctx, app, http.MethodPost, "/api/v1/admin/orgs/"+url.PathEscape(out.Organization.ID)+"/invitations",
		map[string]any{"email": out.Owner.Email, "org_roles": []string{"owner"}})
	return out, err
}

// ensureOrganization makes an organisation, or finds the one that an earlier run made.
func ensureOrganization(ctx context.Context, app *api, slug, name string) (o organization, existed bool, err error) {
	const path = "/api/v1/admin/orgs"
	o, err = call[organization](ctx, app, http.MethodPost, path, map[string]string{"slug": slug, "name": name})
	var refused *apiError
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		return o, false, err
	}
	for cursor := ""; ; {
		page, err := call[struct {
			Items []organization `json:"items"`
			Next  string         `json:"next_cursor"`
		}](ctx, app, http.MethodGet, path+"?"+url.Values{"limit": {"200"}, "cursor": {cursor}}.Encode(), nil)
		if err != nil {
			return o, false, err
		}
		for _, o := range page.Items {
			switch {
			case o.Slug == slug && o.Name == name:
				return o, true, nil
			case o.Slug == slug:
				return o, true, fmt.Errorf("the slug %s belongs to the organisation %q already", slug, o.Name)
			}
		}
		if cursor = page.Next; cursor == "" {
			return o, false, refused // taken by something that cannot be seen
		}
	}
}
