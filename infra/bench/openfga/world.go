package main

import (
	"fmt"
	"math/rand/v2"
)

const org = "acme"

// user is a member of the organisation, signed in to the app.
type user struct {
	id    string
	role  string
	teams []string
	mfa   int
}

type project struct {
	id, owner, team, sensitivity string
	pii                          bool
}

type world struct {
	users    []user
	projects []project
}

// draw is the same world each time.
func draw() world {
	r := rand.New(rand.NewPCG(1, 1))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	var w world
	for n := range 60 {
		u := user{id: fmt.Sprintf("u%d", n), role: pick("owner", "admin", "billing", "auditor", "member", "member", "member", "guest"), mfa: 1 + r.IntN(2)}
		for team := range 10 {
			if r.IntN(5) == 0 {
				u.teams = append(u.teams, fmt.Sprintf("t%d", team))
			}
		}
		w.users = append(w.users, u)
	}
	for n := range 300 {
		w.projects = append(w.projects, project{
			id: fmt.Sprintf("p%d", n), owner: w.users[r.IntN(len(w.users))].id, team: pick("", fmt.Sprintf("t%d", r.IntN(10))),
			sensitivity: pick("public", "internal", "confidential", "restricted"), pii: r.IntN(4) == 0,
		})
	}
	return w
}
