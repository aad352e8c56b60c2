package orgs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/devstack/seed/scale"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// by hand: what the policies say of a member without a second factor, as a person would write it.
const handWritten = "select " + resourceColumns + `'', null::uuid from orgs.projects r
 where r.org_id = $1 and r.id > $2 and r.deleted_at is null
   and r.sensitivity <> 'restricted' and not r.pii
   and (r.sensitivity in ('public', 'internal') or r.team_id = any($4) or r.owner_id = $5)
 order by r.id limit $3`

const (
	pagesEach  = 300 // of each way, taken in turns
	mostRatio  = 1.2
	mostBlocks = 8 // more than in a table of ten thousand rows: the tree is deeper, neighbours are elsewhere
)

// viewer is a member of one tenant who sees some of its projects.
type viewer struct {
	org, user uuid.UUID
	teams     []uuid.UUID
	rows      int
	middle    uuid.UUID // where half of the projects lie behind
	ctx       context.Context
	service   *Service
}

// viewerOf finds a member with teams in the tenant of the seed that has about so many projects.
func viewerOf(b *testing.B, random uint64, biggest bool) viewer {
	b.Helper()
	v := viewer{service: &Service{store: open()}}
	slugs, err := tenantdb.Rows(context.Background(), open().db, platform, pgx.RowTo[uuid.UUID],
		"select id from orgs.orgs where slug like $1 order by id", fmt.Sprintf("seed-%x-%%", random))
	if err != nil || len(slugs) == 0 {
		b.Fatal(err)
	}
	counts := map[uuid.UUID]int{}
	for _, org := range slugs {
		counts[org] = projectsOf(b, org)
	}
	slices.SortFunc(slugs, func(x, y uuid.UUID) int { return counts[x] - counts[y] })
	v.org = slugs[len(slugs)-1]
	if !biggest { // the one nearest to six hundred, which is about the average
		v.org = slices.MinFunc(slugs, func(x, y uuid.UUID) int { return abs(counts[x]-600) - abs(counts[y]-600) })
	}
	v.rows = counts[v.org]
	type memberOf struct {
		User  uuid.UUID
		Teams []uuid.UUID
	}
	m, err := tenantdb.Row(context.Background(), open().db, tenantdb.Org(v.org), pgx.RowToStructByPos[memberOf], `
select m.user_id, array_agg(t.team_id) from orgs.memberships m
  join orgs.team_memberships t on t.org_id = m.org_id and t.user_id = m.user_id
 where m.org_id = $1 and m.org_roles = '{member}' group by m.user_id order by m.user_id limit 1`, v.org)
	if err != nil {
		b.Fatal(err)
	}
	v.user, v.teams = m.User, m.Teams
	v.middle, err = tenantdb.Row(context.Background(), open().db, tenantdb.Org(v.org), pgx.RowTo[uuid.UUID],
		"select id from orgs.projects where org_id = $1 order by id offset $2 limit 1", v.org, v.rows/2)
	if err != nil {
		b.Fatal(err)
	}
	tenant, err := Resolve(context.Background(), v.user, v.org)
	if err != nil || tenant == nil {
		b.Fatal(err)
	}
	caller := &principal.Caller{UserID: v.user.String(), Audience: principal.AudienceApp, MFALevel: 1, AuthTime: time.Now()}
	v.ctx = principal.NewContext(context.Background(), principal.New(caller, tenant))
	return v
}

func abs(n int) int { return max(n, -n) }

func projectsOf(b *testing.B, org uuid.UUID) int {
	b.Helper()
	n, err := tenantdb.Row(context.Background(), open().db, tenantdb.Org(org), pgx.RowTo[int], "select count(*) from orgs.projects where org_id = $1", org)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func (v viewer) byPolicy(ctx context.Context, b *testing.B, after uuid.UUID) []Resource {
	b.Helper()
	r := &PageRequest{}
	if after != uuid.Nil {
		r.Cursor = page.Cursor(after)
	}
	out, err := v.service.listResources(ctx, projectKind, v.org, r)
	if err != nil {
		b.Fatal(err)
	}
	return out.Items
}

func (v viewer) byHand(b *testing.B, after uuid.UUID) []Resource {
	b.Helper()
	rows, err := tenantdb.Rows(v.ctx, v.service.store.db, tenantdb.Org(v.org), pgx.RowToStructByPos[resource], handWritten,
		v.org, after, page.DefaultLimit+1, v.teams, v.user)
	if err != nil {
		b.Fatal(err)
	}
	rows, _ = page.Cut(rows, page.DefaultLimit, func(r resource) any { return r.ID })
	out := make([]Resource, len(rows))
	for i, row := range rows {
		out[i] = row.payload()
	}
	return out
}

// compare takes pages both ways in turns, and says what each costs and how often the PDP was asked.
func (v viewer) compare(b *testing.B, name string, after uuid.UUID) {
	b.Helper()
	same := func(x, y Resource) bool { return x.ID == y.ID }
	if p, h := v.byPolicy(v.ctx, b, after), v.byHand(b, after); len(p) == 0 || !slices.EqualFunc(p, h, same) {
		b.Fatalf("%s: %d by policy, %d by hand: not the same page", name, len(p), len(h))
	}
	asked := map[string]bool{}
	var policy, hand []time.Duration
	for range pagesEach {
		ctx, trail := authz.WithTrail(v.ctx)
		start := time.Now()
		v.byPolicy(ctx, b, after)
		between := time.Now()
		v.byHand(b, after)
		policy, hand = append(policy, between.Sub(start)), append(hand, time.Since(between))
		made, _ := trail.Last()
		asked[made.ID] = true
	}
	slices.Sort(policy)
	slices.Sort(hand)
	ratio := float64(policy[pagesEach/2]) / float64(hand[pagesEach/2])
	fmt.Printf("%-34s %6d projects: by policy p50 %v p99 %v, by hand p50 %v p99 %v, ratio %.2f, PDP asked %d times for %d pages\n",
		name, v.rows, policy[pagesEach/2].Round(time.Microsecond), policy[pagesEach*99/100].Round(time.Microsecond),
		hand[pagesEach/2].Round(time.Microsecond), hand[pagesEach*99/100].Round(time.Microsecond), ratio, len(asked), pagesEach)
	if ratio > mostRatio {
		b.Errorf("%s: %.2f times the hand-written query, want at most %.1f", name, ratio, mostRatio)
	}
}

// node is a node of EXPLAIN's plan.
type node struct {
	Type   string `json:"Node Type"`
	Index  string `json:"Index Name"`
	Hit    int    `json:"Shared Hit Blocks"`
	Read   int    `json:"Shared Read Blocks"`
	Nested []node `json:"Plans"`
}

// explain wants the page to be a walk along the index that needs no sort, and says how many blocks
// it touches.
func (v viewer) explain(b *testing.B, after uuid.UUID) int {
	b.Helper()
	visible, args, err := authz.Visible(v.ctx, projectKind.name, v.org.String(), projectKind.columns(), 4)
	if err != nil {
		b.Fatal(err)
	}
	text, err := tenantdb.Row(v.ctx, open().db, tenantdb.Org(v.org), pgx.RowTo[string],
		"explain (analyze, buffers, format json) "+projectKind.selectPage(visible),
		append([]any{v.org, after, page.DefaultLimit + 1}, args...)...)
	var plans []struct{ Plan node }
	if err == nil {
		err = json.Unmarshal([]byte(text), &plans)
	}
	if err != nil || len(plans) != 1 {
		b.Fatal(err)
	}
	var path []string
	for at := &plans[0].Plan; at != nil; {
		path = append(path, strings.TrimSpace(at.Type+" "+at.Index))
		var next *node
		if len(at.Nested) > 0 {
			next = &at.Nested[0]
		}
		at = next
	}
	// Result is where row-level security is decided, once a query.
	if got := strings.Join(path, ", "); got != "Limit, Result, Index Scan projects_pkey" {
		b.Errorf("the page is not one walk along the primary key: %s", got)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}

// BenchmarkList shows what it costs that policies decide what a list holds, and that neither the
// number of tenants nor the size of the table matters to it. make bench-list runs it.
func BenchmarkList(b *testing.B) {
	seed := func(random uint64, tenants int) {
		done, err := scale.Run(context.Background(), scale.Config{Connect: connect, Tenants: tenants, Random: random})
		if err != nil {
			b.Fatal(err)
		}
		fmt.Printf("%d tenants with %d resources put in: %d rows in %.1f s, %.0f a second\n", done.Tenants, done.Resources, done.Rows, done.Took.Seconds(), done.PerSecond())
	}
	for b.Loop() {
		seed(1, 10)
		small := viewerOf(b, 1, false)
		small.compare(b, "10 k rows, first page", uuid.Nil)
		few := small.explain(b, uuid.Nil)
		seed(2, 1000)
		average, biggest := viewerOf(b, 2, false), viewerOf(b, 2, true)
		average.compare(b, "1 M rows, first page", uuid.Nil)
		biggest.compare(b, "1 M rows, biggest, first page", uuid.Nil)
		biggest.compare(b, "1 M rows, biggest, middle", biggest.middle)
		many, most := average.explain(b, uuid.Nil), biggest.explain(b, biggest.middle)
		fmt.Printf("blocks touched by a page: %d of 10 k rows, %d of 1 M rows, %d in the middle of the biggest tenant; one walk along projects_pkey each\n", few, many, most)
		if max(many, most) > few+mostBlocks {
			b.Errorf("a page of a million rows touches %d blocks, of ten thousand %d", max(many, most), few)
		}
	}
}
