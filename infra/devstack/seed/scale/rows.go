package scale

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// rows are those of one batch, by table.
type rows struct {
	orgs            []tenant
	users           []user
	memberships     []membership
	teams           []team
	teamMemberships []teamMembership
	resources       []resource
	issuer          string
}

type user struct {
	id         id
	email      string
	name, nick string
	created    time.Time
}

type membership struct {
	org, user id
	roles     []string
	created   time.Time
}

type team struct {
	org, id id
	name    string
	created time.Time
}

type teamMembership struct {
	org, team, user id
	roles           []string
	created         time.Time
}

type resource struct {
	table       int // of resourceTables
	org, id     id
	team        any // nil or an id
	owner       id
	title, body string
	sensitivity string
	pii         bool
	created     time.Time
	deleted     any // nil or a time
	patient     string
	clinician   id
}

// add makes everything of one tenant.
func (b *rows) add(cfg Config, plan []tenant, t tenant) {
	b.issuer = cfg.Issuer
	r := random(cfg, t.n)
	r.Uint64() // not the tenant's own id again
	b.orgs = append(b.orgs, t)
	members := b.addMembers(cfg, plan, t, r)
	teams := b.addTeams(t, members, r)
	b.addResources(t, members, teams, r)
}

func (b *rows) addMembers(cfg Config, plan []tenant, t tenant, r *rand.Rand) []id {
	members := make([]id, t.members)
	for n := range members {
		first, last := firsts[r.IntN(len(firsts))], lasts[r.IntN(len(lasts))]
		nick := fmt.Sprintf("%s.%s.%d@%s.test", strings.ToLower(first), strings.ToLower(last), n, t.slug)
		members[n] = userID(cfg, t, n)
		b.users = append(b.users, user{members[n], nick, first + " " + last, nick, t.created})
		role := "member"
		switch chance := r.IntN(100); {
		case n == 0:
			role = "owner"
		case n == 1 || chance < 4:
			role = "admin"
		case chance < 8:
			role = "billing"
		case chance < 12:
			role = "auditor"
		case chance < 20:
			role = "guest"
		}
		b.memberships = append(b.memberships, membership{t.id, members[n], []string{role}, t.created})
	}
	// Every fifth has a guest from elsewhere.
	if other := plan[(t.n+7)%len(plan)]; t.n%5 == 0 && other.n != t.n {
		b.memberships = append(b.memberships, membership{t.id, userID(cfg, other, 0), []string{"guest"}, t.created})
	}
	return members
}

func (b *rows) addTeams(t tenant, members []id, r *rand.Rand) []id {
	teams := make([]id, t.teams)
	for n := range teams {
		teams[n] = newID(r, t.created)
		b.teams = append(b.teams, team{t.id, teams[n], fmt.Sprintf("%s %d", words[r.IntN(len(words))], n), t.created})
	}
	for n, member := range members {
		role := "member"
		if n < len(teams) {
			role = "lead"
		}
		first := n % len(teams)
		b.teamMemberships = append(b.teamMemberships, teamMembership{t.id, teams[first], member, []string{role}, t.created})
		if second := r.IntN(len(teams)); second != first {
			b.teamMemberships = append(b.teamMemberships, teamMembership{t.id, teams[second], member, []string{"member"}, t.created})
		}
	}
	return teams
}

// resourceTables are filled six, three and, for the enterprise tier, one in ten.
var resourceTables = []string{"projects", "docs", "patient_records"}

func (b *rows) addResources(t tenant, members, teams []id, r *rand.Rand) {
	every := (epoch.Add(2*year).Sub(t.created) - year/2) / time.Duration(t.resources)
	for n := range t.resources {
		at := t.created.Add(time.Duration(n) * every).Truncate(time.Millisecond)
		// A few members own much: the square of an even draw leans to the first ones.
		lean := r.Float64()
		owner := members[int(lean*lean*float64(len(members)))]
		x := resource{
			org: t.id, id: newID(r, at), owner: owner, created: at, sensitivity: "internal", pii: r.IntN(10) == 0,
			title: words[r.IntN(len(words))] + " " + words[r.IntN(len(words))], body: text(r),
		}
		switch chance := r.IntN(10); {
		case chance == 0 && t.tier == "enterprise":
			x.table, x.patient, x.clinician = 2, fmt.Sprintf("P-%06d", r.IntN(1_000_000)), owner
		case chance <= 3:
			x.table = 1
		}
		switch chance := r.IntN(100); {
		case chance < 15:
			x.sensitivity = "public"
		case chance < 35:
			x.sensitivity = "confidential"
		case chance < 40:
			x.sensitivity = "restricted"
		}
		if r.IntN(10) >= 3 {
			x.team = teams[r.IntN(len(teams))]
		}
		if r.IntN(100) < 3 {
			x.deleted = at.Add(24 * time.Hour)
		}
		b.resources = append(b.resources, x)
	}
}

func text(r *rand.Rand) string {
	var out strings.Builder
	for range r.IntN(24) {
		out.WriteString(words[r.IntN(len(words))])
		out.WriteByte(' ')
	}
	return strings.TrimSpace(out.String())
}
