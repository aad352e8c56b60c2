package policies_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"encore.app/authz/filter"
	"encore.app/authz/pdp"
	"encore.app/authz/pdp/pdptest"
	"encore.app/policies"
	"encore.app/policies/lint"
	effectv1 "github.com/cerbos/cerbos/api/genpb/cerbos/effect/v1"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	responsev1 "github.com/cerbos/cerbos/api/genpb/cerbos/response/v1"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
	"gopkg.in/yaml.v3"
)

// suite is as much of a suite of tests as is replayed here.
type suite struct {
	Resources map[string]entity
	Tests     []struct {
		Input struct{ Principals, Resources, Actions []string }
	}
}

type entity struct {
	ID    string
	Kind  string
	Roles []string
	Attr  map[string]any
}

func (e entity) attr(t *testing.T) map[string]*structpb.Value {
	t.Helper()
	out, err := structpb.NewStruct(e.Attr)
	if err != nil {
		t.Fatal(err)
	}
	return out.GetFields()
}

func (e entity) principal(t *testing.T) *enginev1.Principal {
	return &enginev1.Principal{Id: e.ID, Roles: e.Roles, Attr: e.attr(t)}
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func people(t *testing.T) map[string]entity {
	t.Helper()
	var fixture struct{ Principals map[string]entity }
	read(t, "tests/testdata/principals.yaml", &fixture)
	return fixture.Principals
}

// serve starts a decision point on a bundle.
func serve(t *testing.T, bundle fs.FS) svcv1.CerbosServiceClient {
	t.Helper()
	server, err := pdptest.StartOn(bundle, pdptest.Strict...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(server.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return svcv1.NewCerbosServiceClient(conn)
}

// used is what a permission says where it is instrumented.
const used = "used"

// instrumented is the bundle with an output on every permission, so that each shows when it is used
// as every denial already does.
func instrumented(t *testing.T) fs.FS {
	t.Helper()
	permission := regexp.MustCompile(`(?m)^( +)effect: EFFECT_ALLOW$`)
	out := fstest.MapFS{}
	err := fs.WalkDir(policies.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := policies.FS.ReadFile(name)
		if name != policies.StampFile {
			text = permission.ReplaceAll(text, []byte("${1}effect: EFFECT_ALLOW\n${1}output: {when: {ruleActivated: '\""+used+"\"'}}"))
		}
		out[name] = &fstest.MapFile{Data: text, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const maxBatch = 50

// tried is what became of one action: how often it was asked about, and which rules spoke how often,
// as far as the decision was theirs.
type tried struct {
	asked int
	spoke map[string]int
}

// TestEveryRuleDecidesSomething replays the matrix of every suite and counts, for each rule and action,
// the decisions that were the rule's and those in which it held back. Both are wanted: a rule that never
// decides may be wrong in any way, and so may the condition of one that always does.
func TestEveryRuleDecidesSomething(t *testing.T) {
	t.Parallel()
	stub := serve(t, instrumented(t))
	who := people(t)
	seen := map[string]*tried{} // kind and action
	var allowed, denied int
	files, err := filepath.Glob("tests/*_test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no suites", err)
	}
	for _, file := range files {
		var s suite
		read(t, file, &s)
		for _, test := range s.Tests {
			var resources []*requestv1.CheckResourcesRequest_ResourceEntry
			for _, name := range test.Input.Resources {
				r := s.Resources[name]
				resources = append(resources, &requestv1.CheckResourcesRequest_ResourceEntry{
					Actions: test.Input.Actions, Resource: &enginev1.Resource{Kind: r.Kind, Id: r.ID, Attr: r.attr(t)},
				})
			}
			for _, name := range test.Input.Principals {
				p, ok := who[name]
				if !ok {
					continue // the canary's own
				}
				for batch := range slices.Chunk(resources, maxBatch) {
					res, err := stub.CheckResources(t.Context(), &requestv1.CheckResourcesRequest{Principal: p.principal(t), Resources: batch})
					if err != nil {
						t.Fatalf("%s: %v", file, err)
					}
					for _, result := range res.GetResults() {
						yes, no := count(seen, result)
						allowed, denied = allowed+yes, denied+no
					}
				}
			}
		}
	}
	report(t, seen, allowed, denied)
}

func count(seen map[string]*tried, result *responsev1.CheckResourcesResponse_ResultEntry) (allowed, denied int) {
	spoke := map[string]bool{}
	for _, o := range result.GetOutputs() {
		spoke[pdp.ActionOf(o)+" "+o.GetSrc()[strings.LastIndex(o.GetSrc(), "#")+1:]] = o.GetVal().GetStringValue() == used
	}
	for action, effect := range result.GetActions() {
		yes := effect == effectv1.Effect_EFFECT_ALLOW
		if yes {
			allowed++
		} else {
			denied++
		}
		k := result.GetResource().GetKind() + " " + action
		if seen[k] == nil {
			seen[k] = &tried{spoke: map[string]int{}}
		}
		seen[k].asked++
		for name, permits := range spoke {
			if rule, ok := strings.CutPrefix(name, action+" "); ok && permits == yes {
				seen[k].spoke[rule]++
			}
		}
	}
	return allowed, denied
}

func report(t *testing.T, seen map[string]*tried, allowed, denied int) {
	t.Helper()
	var rules, cells, both int
	effects := map[string]int{}
	for kind, p := range bundle(t) {
		if p.ResourcePolicy == nil || kind == lint.Canary || kind == lint.Stamp {
			continue
		}
		for _, r := range p.ResourcePolicy.Rules {
			rules++
			effects[r.Effect]++
			actions := r.Actions
			if slices.Contains(actions, "*") {
				actions = policies.Actions(kind)
			}
			for _, action := range actions {
				cells++
				x := seen[kind+" "+action]
				decided := x.spoke[r.Name]
				if decided == 0 {
					t.Errorf("%s#%s never decides %s", kind, r.Name, action)
				}
				if decided == x.asked {
					t.Errorf("%s#%s decides every %s", kind, r.Name, action)
				}
				if decided > 0 && decided < x.asked {
					both++
				}
			}
		}
	}
	share := float64(denied) / float64(allowed+denied)
	fmt.Printf("coverage: %d rules (%d denials, %d permissions) over %d pairs of rule and action: %d decide and hold back in the tests (%.1f %%); %d decisions, %.0f %% of them denied\n",
		rules, effects["EFFECT_DENY"], effects["EFFECT_ALLOW"], cells, both, 100*float64(both)/float64(cells), allowed+denied, 100*share)
	if share < 0.5 {
		t.Error("most tests should be of what must not be")
	}
}

// planners are callers that differ in what they may.
var planners = []string{
	"root", "inspector", "plain_in_admin", "owner_org", "guest_org", "impersonated_org",
	"owner_strong", "member_app", "lead_strong", "doctor_strong", "guest_app", "outsider_app",
}

// TestEveryPlanIsTranslated plans every action of every kind for callers of every role, as a list
// would, and turns the plan into SQL: what the filter does not know shows here, not in production.
func TestEveryPlanIsTranslated(t *testing.T) {
	t.Parallel()
	stub := serve(t, policies.FS)
	who := people(t)
	columns := map[string]filter.Column{
		filter.ResourceID: {SQL: "id", Type: filter.Text},
		"team_id":         {SQL: "team_id", Type: filter.Text},
		"owner_id":        {SQL: "owner_id", Type: filter.Text},
		"sensitivity":     {SQL: "sensitivity", Type: filter.Text},
		"pii":             {SQL: "pii", Type: filter.Bool},
		"clinician_id":    {SQL: "clinician_id", Type: filter.Text},
		"org_roles":       {SQL: "org_roles", Type: filter.TextArray},
	}
	pinned := entity{Attr: map[string]any{"org_id": "acme", "org_status": "active", "license_tier": "enterprise"}}.attr(t)
	var plans, conditional int
	for _, kind := range policies.Names() {
		for _, action := range policies.Actions(kind) {
			for _, name := range planners {
				p, ok := who[name]
				if !ok {
					t.Fatalf("no principal %s", name)
				}
				res, err := stub.PlanResources(context.WithoutCancel(t.Context()), &requestv1.PlanResourcesRequest{
					Action: action, Principal: p.principal(t), Resource: &enginev1.PlanResourcesInput_Resource{Kind: kind, Attr: pinned},
				})
				if err != nil {
					t.Fatalf("%s %s %s: %v", kind, action, name, err)
				}
				plan, err := filter.New(res.GetFilter())
				if err != nil {
					t.Errorf("%s %s %s: %v", kind, action, name, err)
					continue
				}
				plans++
				if !plan.AlwaysAllowed() && !plan.AlwaysDenied() {
					conditional++
				}
				if where, _, err := plan.SQL(columns, 1); err != nil {
					t.Errorf("%s %s %s: %v (%s)", kind, action, name, err, where)
				}
			}
		}
	}
	fmt.Printf("plans: %d, %d of them conditional, all translated to SQL\n", plans, conditional)
	if conditional == 0 {
		t.Error("no plan was conditional: this proves nothing")
	}
}
