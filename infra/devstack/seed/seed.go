// Package seed puts the demo tenants into a migrated database: the people, organisations, teams and
// licences that the documentation and the acceptance suite speak of, with fixed ids. It may run any
// number of times.
package seed

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// People are keyed by issuer and subject; subjects are the user ids of the demo realm, and the app's
// own ids are the same where it met nobody of that name before, so that a person can be recognised
// in both.
type realm struct {
	Users []struct {
		ID         string   `json:"id"`
		Username   string   `json:"username"`
		Email      string   `json:"email"`
		FirstName  string   `json:"firstName"`
		LastName   string   `json:"lastName"`
		RealmRoles []string `json:"realmRoles"`
	} `json:"users"`
}

const (
	acme       = "00000000-0000-7000-8000-0000000000ac"
	globex     = "00000000-0000-7000-8000-000000000906"
	cardiology = "00000000-0000-7000-8000-0000000ca4d1"
)

type statement struct {
	sql  string
	args []any
}

// Config says what to seed into.
type Config struct {
	DatabaseURL string
	Issuer      string
	DemoRealm   string // path of the demo realm file
}

// Run seeds in one transaction.
func Run(ctx context.Context, cfg Config) error {
	text, err := os.ReadFile(cfg.DemoRealm)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	var r realm
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("seed: %s: %w", cfg.DemoRealm, err)
	}
	conn, err := pgx.Connect(ctx, cfg.DatabaseURL)
	if err != nil {
		return fmt.Errorf("seed: connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, s := range statements(r, cfg.Issuer) {
			if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
				return fmt.Errorf("seed: %w", err)
			}
		}
		return nil
	})
}

func statements(r realm, issuer string) []statement {
	people := map[string]string{}
	out := []statement{{sql: "select set_config('app.platform', 'on', true)"}}
	for _, u := range r.Users {
		people[u.Username] = u.ID
		out = append(out,
			// The development issuer may have moved to another address since the last time.
			statement{`
update identity.users set issuer = $2
 where id = $1 and not exists (select from identity.users where issuer = $2 and subject = $3)`,
				[]any{u.ID, issuer, u.ID}},
			statement{`
insert into identity.users (id, issuer, subject, email, email_verified, username, name)
values ($1, $2, $3, $4, true, $5, $6)
on conflict do nothing`,
				[]any{u.ID, issuer, u.ID, u.Email, u.Username, u.FirstName + " " + u.LastName}},
			// Staff are staff before they have ever signed in; from then on their tokens tell.
			statement{`
update identity.users set platform_roles = $3
 where issuer = $1 and subject = $2 and platform_roles_at = 'epoch'`,
				[]any{issuer, u.ID, platformRoles(u.RealmRoles)}})
	}
	member := func(org, who string, roles ...string) statement {
		return statement{`
insert into orgs.memberships (org_id, user_id, org_roles)
select $1, id, $4 from identity.users where issuer = $2 and subject = $3
on conflict do nothing`,
			[]any{org, issuer, people[who], roles}}
	}
	teamMember := func(who, role string) statement {
		return statement{`
insert into orgs.team_memberships (org_id, team_id, user_id, team_roles)
select $1, $2, id, $5 from identity.users where issuer = $3 and subject = $4
on conflict do nothing`,
			[]any{acme, cardiology, issuer, people[who], []string{role}}}
	}
	return append(out,
		org(acme, "acme", "Acme", "enterprise", 100),
		org(globex, "globex", "Globex", "free", 5),
		in(acme),
		license(acme, "enterprise", 100),
		member(acme, "ada@acme.test", "owner"),
		member(acme, "alan@acme.test", "admin"),
		member(acme, "grace@acme.test", "member"),
		member(acme, "bob@acme.test", "member"),
		statement{`insert into orgs.teams (org_id, id, name) values ($1, $2, 'cardiology') on conflict do nothing`, []any{acme, cardiology}},
		teamMember("grace@acme.test", "lead"),
		teamMember("bob@acme.test", "member"),
		in(globex),
		member(globex, "eve@globex.test", "owner"),
		member(globex, "bob@acme.test", "guest"),
	)
}

// platformRoles are the realm roles that give rights over the platform.
func platformRoles(all []string) []string {
	return slices.DeleteFunc(append([]string{}, all...), func(role string) bool { return !strings.HasPrefix(role, "platform_") })
}

// in sets the organisation that row-level security lets the following statements write to.
func in(org string) statement {
	return statement{"select set_config('app.org_id', $1, true)", []any{org}}
}

// org says of the licence what the licence itself says below.
func org(id, slug, name, tier string, seats int) statement {
	return statement{`insert into orgs.orgs (id, slug, name, license_tier, seats) values ($1, $2, $3, $4, $5) on conflict do nothing`,
		[]any{id, slug, name, tier, seats}}
}

func license(org, tier string, seats int) statement {
	return statement{`insert into licensing.licenses (org_id, tier, seats, source) values ($1, $2, $3, 'manual') on conflict do nothing`,
		[]any{org, tier, seats}}
}
