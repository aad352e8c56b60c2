package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"encore.app/identity/keycloak"
)

// platformRoleNames are the realm's roles over the whole platform.
var platformRoleNames = []string{"platform_admin", "platform_auditor", "platform_support"}

// done is what was done to an account.
type done struct {
	UserID string `json:"user_id"`
	Action string `json:"action"`
}

func (d *done) String() string { return fmt.Sprintf("%s: %s\n", d.UserID, d.Action) }

func users(ctx context.Context, in *invocation, args []string) (fmt.Stringer, error) {
	actions := map[string]func(*keycloak.Client, context.Context, string) error{
		"disable": (*keycloak.Client).DisableUser, "enable": (*keycloak.Client).EnableUser,
		"reset-mfa": (*keycloak.Client).ResetMFA, "logout": (*keycloak.Client).LogoutUser,
	}
	if len(args) == 0 || actions[args[0]] == nil {
		return nil, &usageError{"say what to do: users disable, enable, reset-mfa or logout"}
	}
	email, id := in.flags.String("email", "", ""), in.flags.String("id", "", "")
	if err := in.parse(args[1:]); err != nil {
		return nil, err
	}
	if (*email == "") == (*id == "") {
		return nil, &usageError{"give either --email or --id"}
	}
	realm, err := in.keycloak()
	if err != nil {
		return nil, err
	}
	if *email != "" {
		user, err := realm.FindUser(ctx, *email)
		if err != nil {
			return nil, err
		}
		*id = user.ID
	}
	if err := actions[args[0]](realm, ctx, *id); err != nil {
		return nil, err
	}
	return &done{UserID: *id, Action: args[0]}, nil
}

// roleMember is a person with a role.
type roleMember struct {
	Role    string `json:"role"`
	UserID  string `json:"user_id"`
	Email   string `json:"email"`
	Enabled bool   `json:"enabled"`
}

type roleMembers struct {
	Items []roleMember `json:"items"`
}

func (m *roleMembers) String() string {
	var out strings.Builder
	for _, one := range m.Items {
		note := ""
		if !one.Enabled {
			note = "  (disabled)"
		}
		fmt.Fprintf(&out, "%-18s %s  %s%s\n", one.Role, one.UserID, one.Email, note)
	}
	return out.String()
}

func platformRoles(ctx context.Context, in *invocation, args []string) (fmt.Stringer, error) {
	role := in.flags.String("role", "", "")
	if err := in.parse(args); err != nil {
		return nil, err
	}
	roles := platformRoleNames
	if *role != "" {
		if !slices.Contains(platformRoleNames, *role) {
			return nil, &usageError{"--role is one of " + strings.Join(platformRoleNames, ", ")}
		}
		roles = []string{*role}
	}
	realm, err := in.keycloak()
	if err != nil {
		return nil, err
	}
	out := &roleMembers{Items: []roleMember{}}
	for _, role := range roles {
		members, err := realm.RoleMembers(ctx, role)
		if err != nil {
			return nil, err
		}
		for _, u := range members {
			out.Items = append(out.Items, roleMember{Role: role, UserID: u.ID, Email: u.Email, Enabled: u.Enabled})
		}
	}
	return out, nil
}

// newSecret is a client's secret, told once.
type newSecret struct {
	Client string `json:"client"`
	Secret string `json:"secret"`
}

// String is the secret alone, to be piped to where it is kept.
func (s *newSecret) String() string { return s.Secret + "\n" }

func rotateSecret(ctx context.Context, in *invocation, args []string) (fmt.Stringer, error) {
	client := in.flags.String("client", "", "")
	if err := in.parse(args, "client"); err != nil {
		return nil, err
	}
	realm, err := in.keycloak()
	if err != nil {
		return nil, err
	}
	secret, err := realm.RotateSecret(ctx, *client)
	if err != nil {
		return nil, err
	}
	return &newSecret{Client: *client, Secret: secret}, nil
}
