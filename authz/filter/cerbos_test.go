package filter_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"encore.app/authz/filter"
	"encore.app/authz/pdp/pdptest"
	effectv1 "github.com/cerbos/cerbos/api/genpb/cerbos/effect/v1"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// Conditions are drawn at random, a few hundred to a bundle. FILTER_FOR draws bundles for as long as it
// says, and FILTER_SEED another one.
const (
	conditionsEach = 300
	maxActions     = 50 // that the decision point decides in one request
)

// asker is who the conditions are decided for.
var asker = &enginev1.Principal{Id: uuids[0], Roles: []string{"user"}, Attr: fields(map[string]any{
	"names": []any{"a", "b", ""}, "teams": []any{uuids[0], uuids[1]}, "level": 2,
	"roles": map[string]any{uuids[0]: []any{"lead"}, uuids[1]: []any{"member"}, "a": []any{"lead", "member"}},
	"homes": map[string]any{"a": map[string]any{"role": "OWNER"}, "b": map[string]any{"role": "GUEST"}, "": map[string]any{}},
})}

func fields(attr map[string]any) map[string]*structpb.Value {
	s, err := structpb.NewStruct(attr)
	if err != nil {
		panic(err) // they are constants of this test
	}
	return s.GetFields()
}

// TestPlansAgreeWithChecks draws conditions over attributes of every type and every convention of NULL,
// has Cerbos plan each, translates the plan, and compares the rows that Postgres selects with what
// Cerbos itself decides of each row. What the filter refuses has to be a typed error.
func TestPlansAgreeWithChecks(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	if text := os.Getenv("FILTER_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	long, err := time.ParseDuration("0" + os.Getenv("FILTER_FOR"))
	if err != nil {
		t.Fatal(err)
	}
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		t.Fatal("this test needs Postgres: set DATABASE_URL")
	}
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	var sum tally
	for start := time.Now(); ; seed++ {
		sum.add(compare(t, db, seed))
		if t.Failed() || time.Since(start) >= long {
			break
		}
	}
	t.Logf("%d conditions, %d of them refused; %d decisions compared, %d allowed", sum.conditions, sum.refused, sum.decisions, sum.allowed)
	if sum.refused*4 > sum.conditions || sum.allowed*20 < sum.decisions || sum.allowed*20 > 19*sum.decisions {
		t.Error("too much of it is refused, or decided one way: this proves little")
	}
}

type tally struct{ conditions, refused, decisions, allowed int }

func (t *tally) add(o tally) {
	t.conditions += o.conditions
	t.refused += o.refused
	t.decisions += o.decisions
	t.allowed += o.allowed
}

func compare(t *testing.T, db *pgx.Conn, seed uint64) (sum tally) {
	t.Helper()
	d := &drawer{rand.New(rand.NewPCG(seed, 0))}
	conditions := make([]string, conditionsEach)
	for i := range conditions {
		conditions[i] = d.condition(3)
	}
	rows := d.rows(t, db)
	stub, stop := serve(t, conditions)
	defer stop()
	decided := check(t, stub, conditions, rows)
	for i, condition := range conditions {
		res, err := stub.PlanResources(t.Context(), &requestv1.PlanResourcesRequest{
			Action: action(i), Principal: asker, Resource: &enginev1.PlanResourcesInput_Resource{Kind: "probe"},
		})
		sum.conditions++
		if status.Code(err) == codes.Internal { // some it cannot plan itself
			sum.refused++
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", condition, err)
		}
		plan, err := filter.New(res.GetFilter())
		if err != nil {
			t.Fatalf("%s: %v", condition, err)
		}
		where, args, err := plan.SQL(sampleColumns, 1)
		var unsupported *filter.UnsupportedError
		var unmapped *filter.UnmappedError // a choice between two keeps what is of the asker
		if errors.As(err, &unsupported) || errors.As(err, &unmapped) && strings.HasPrefix(unmapped.Attribute, "request.principal.") {
			sum.refused++
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		found, err := db.Query(t.Context(), "SELECT n FROM probe WHERE "+where+" ORDER BY n", args...)
		if err != nil {
			t.Errorf("%s: %s: %v", condition, where, err)
			continue
		}
		got, err := pgx.CollectRows(found, pgx.RowTo[int])
		if err != nil {
			t.Errorf("seed %d: %s: %s: %v", seed, condition, where, err)
			continue
		}
		sum.decisions += len(rows)
		sum.allowed += len(decided[i])
		if !slices.Equal(got, decided[i]) {
			t.Errorf("seed %d: %s\nplanned as %v\nin SQL %s %v\nselects %v, allowed are %v", seed, condition, res.GetFilter(), where, args, got, decided[i])
		}
	}
	return sum
}

func action(i int) string { return "a" + strconv.Itoa(i) }

// serve starts a decision point whose only policy allows each action under one condition.
func serve(t *testing.T, conditions []string) (stub svcv1.CerbosServiceClient, stop func()) {
	t.Helper()
	var policy strings.Builder
	policy.WriteString("apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: probe\n  version: default\n  rules:\n")
	for i, c := range conditions {
		fmt.Fprintf(&policy, "    - {actions: [%s], effect: EFFECT_ALLOW, roles: [user], condition: {match: {expr: %q}}}\n", action(i), c)
	}
	server, err := pdptest.StartOn(fstest.MapFS{"probe.yaml": {Data: []byte(policy.String()), Mode: 0o644}}, pdptest.Strict...)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(server.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		server.Stop()
		t.Fatal(err)
	}
	return svcv1.NewCerbosServiceClient(conn), func() { _ = conn.Close(); server.Stop() }
}

// check has every condition decided for every row; the answer is the rows allowed, by condition.
func check(t *testing.T, stub svcv1.CerbosServiceClient, conditions []string, rows []map[string]any) [][]int {
	t.Helper()
	out := make([][]int, len(conditions))
	for i := range out {
		out[i] = []int{}
	}
	for from := 0; from < len(conditions); from += maxActions {
		req := &requestv1.CheckResourcesRequest{Principal: asker}
		var actions []string
		for i := from; i < min(from+maxActions, len(conditions)); i++ {
			actions = append(actions, action(i))
		}
		for n, row := range rows {
			id := uuids[n%len(uuids)]
			req.Resources = append(req.Resources, &requestv1.CheckResourcesRequest_ResourceEntry{
				Actions: actions, Resource: &enginev1.Resource{Kind: "probe", Id: id, Attr: fields(row)},
			})
		}
		res, err := stub.CheckResources(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for n, result := range res.GetResults() {
			for i := range actions {
				if result.GetActions()[actions[i]] == effectv1.Effect_EFFECT_ALLOW {
					out[from+i] = append(out[from+i], n)
				}
			}
		}
	}
	return out
}
