// Command openfga asks Cerbos and OpenFGA the same questions under the same rules, in turns, and prints
// their times side by side: one check, fifty in one call, and which of the resources somebody may read.
//
// Both are processes of their own that answer over gRPC on this machine. Cerbos serves the project's
// policies at CERBOS_ADDR. OpenFGA v1.22.1 keeps its tuples in memory, its caches at their defaults; its
// model says what the policy of projects says of reading one. Both are first asked about every user and
// project, and have to agree.
//
// They are not alike: Cerbos is told the attributes with each question, OpenFGA has to have been told
// every relation before, and looks them up.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	rounds = 20
	each   = 20 // calls of each way in a round, after one that finds the caches cold
	many   = 50
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "openfga:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		return serve(os.Args[2])
	}
	addr := os.Getenv("CERBOS_ADDR")
	if addr == "" {
		return errors.New("CERBOS_ADDR is not set: name a decision point that serves the policies")
	}
	world := draw()
	cerbos, err := newCerbos(addr)
	if err != nil {
		return err
	}
	fga, stop, err := newOpenFGA(ctx, world)
	if err != nil {
		return err
	}
	defer stop()
	allowed, err := agree(ctx, world, cerbos, fga)
	if err != nil {
		return err
	}
	fmt.Printf("%d users, %d projects: both agree on all %d decisions, %d of them allow\n", len(world.users), len(world.projects), len(world.users)*len(world.projects), allowed)
	return race(ctx, world, cerbos, fga)
}

// engine answers questions about reading projects.
type engine interface {
	check(ctx context.Context, u user, p project) (bool, error)
	checkMany(ctx context.Context, u user, ps []project) ([]bool, error)
	// list is how many of the projects somebody may read; -1 where a condition says so instead.
	list(ctx context.Context, w world, u user) (int, error)
}

func agree(ctx context.Context, w world, a, b engine) (allowed int, err error) {
	for _, u := range w.users {
		for ps := range slices.Chunk(w.projects, many) {
			one, err := a.checkMany(ctx, u, ps)
			if err != nil {
				return 0, err
			}
			other, err := b.checkMany(ctx, u, ps)
			if err != nil {
				return 0, err
			}
			for i, p := range ps {
				if one[i] != other[i] {
					return 0, fmt.Errorf("they differ about %+v reading %+v: Cerbos %v, OpenFGA %v", u, p, one[i], other[i])
				}
				if one[i] {
					allowed++
				}
			}
		}
	}
	return allowed, nil
}

type way struct {
	name string
	do   func(n int) error
	took []time.Duration
}

func (w *way) at(share float64) time.Duration {
	slices.Sort(w.took)
	return w.took[int(share*float64(len(w.took)-1))]
}

func race(ctx context.Context, w world, cerbos, fga engine) error {
	var ways []*way
	for _, e := range []struct {
		name string
		engine
	}{{"Cerbos", cerbos}, {"OpenFGA", fga}} {
		ways = append(ways,
			&way{name: e.name + ", one check", do: func(n int) error {
				_, err := e.check(ctx, w.users[n%len(w.users)], w.projects[n*7%len(w.projects)])
				return err
			}},
			&way{name: e.name + ", fifty in one call", do: func(n int) error {
				from := n * 11 % (len(w.projects) - many)
				_, err := e.checkMany(ctx, w.users[n%len(w.users)], w.projects[from:from+many])
				return err
			}},
			&way{name: e.name + ", a list", do: func(n int) error {
				_, err := e.list(ctx, w, w.users[n%len(w.users)])
				return err
			}})
	}
	half := len(ways) / 2
	for round := range rounds {
		for i := range half {
			for _, x := range []*way{ways[i], ways[half+i]} {
				n := round * (each + 1)
				if err := x.do(n); err != nil {
					return fmt.Errorf("%s: %w", x.name, err)
				}
				for k := range each {
					start := time.Now()
					if err := x.do(n + 1 + k); err != nil {
						return fmt.Errorf("%s: %w", x.name, err)
					}
					x.took = append(x.took, time.Since(start))
				}
			}
		}
	}
	for i := range half {
		a, b := ways[i], ways[half+i]
		for _, x := range []*way{a, b} {
			fmt.Printf("%-30s p50 %10s   p99 %10s\n", x.name, x.at(0.5).Round(time.Microsecond), x.at(0.99).Round(time.Microsecond))
		}
		fmt.Printf("%30s %.2f × the time of OpenFGA at p50\n", "", float64(a.at(0.5))/float64(b.at(0.5)))
	}
	fmt.Println("a list: Cerbos plans a condition for the database, OpenFGA names the projects")
	return nil
}
