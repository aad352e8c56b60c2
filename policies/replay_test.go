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
	"encore.app/authz/pdp/pdptest"
	"encore.app/policies"
	effectv1 "github.com/cerbos/cerbos/api/genpb/cerbos/effect/v1"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
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
			text = permission.ReplaceAll(text, []byte("${1}effect: EFFECT_ALLOW\n${1}output: {when: {ruleActivated: '\"used\"'}}"))
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

// TestEveryRuleDecidesSomething replays the matrix of every suite and counts which rules spoke.
func TestEveryRuleDecidesSomething(t *testing.T) {
	t.Parallel()
	stub := serve(t, instrumented(t))
	who := people(t)
	used := map[string]int{} // policy#rule
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
						for _, effect := range result.GetActions() {
							if effect == effectv1.Effect_EFFECT_ALLOW {
								allowed++
							} else {
								denied++
							}
						}
						for _, o := range result.GetOutputs() {
							used[strings.TrimPrefix(o.GetSrc(), "resource.")]++
						}
					}
				}
			}
		}
	}
	rules := map[string]int{}
	for name, p := range bundle(t) {
		if p.ResourcePolicy == nil || name == canary || name == stamp {
			continue
		}
		for _, r := range p.ResourcePolicy.Rules {
			rules[r.Effect]++
			if used[name+".v"+policies.Version+"#"+r.Name] == 0 {
				t.Errorf("no test makes %s#%s decide", name, r.Name)
			}
		}
	}
	share := float64(denied) / float64(allowed+denied)
	fmt.Printf("coverage: %d denials and %d permissions, all of them used, in %d decisions, %.0f %% of them denied\n",
		rules["EFFECT_DENY"], rules["EFFECT_ALLOW"], allowed+denied, 100*share)
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
