//go:build acceptance && local

package acceptance

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The suite passes with the predicate that names the organisation taken out of every statement at
// once, and nothing foreign shows: row-level security alone keeps tenants apart.
func TestEveryStatementIsSafeWithoutItsPredicate(t *testing.T) {
	database := scratch(t)
	proxy, through := beforePostgres(t, database)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	embedded := []string{"RABBITMQ_URL", "REDIS_URL"}
	a, err := startApp(ctx, appConfig{database: through, seed: true, unset: embedded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)

	suite := exec.Command(os.Args[0], "-test.run", "^("+strings.Join(portable(t), "|")+")$", "-test.skip", "^TestTheGeneratedClientsWork$", "-test.timeout", "10m")
	suite.Env = append(os.Environ(), "BASE_URL="+a.base, "ISSUER="+target.issuer, "STOCK_HOST=1")
	if out, err := suite.CombinedOutput(); err != nil {
		t.Errorf("the suite: %v\n%s", err, out)
	}
	nothingForeign(t, a)
	receiving, err := startApp(ctx, appConfig{database: through, unset: embedded, env: []string{"SINKS_ALLOW_PRIVATE=true"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(receiving.kill)
	a.stop() // its sinks are kept from private addresses
	sinksGetTheirOwn(t, receiving)
	everyStatement(t, proxy.ran())

	// That the predicates really are out: with row-level security out as well, everything shows.
	execSQL(t, database, "create policy leak on orgs.projects using (true)")
	r := at(receiving, t, eveApp, "GET", "/api/v1/app/orgs/"+globex+"/projects?limit=200", nil)
	if r.status != http.StatusOK || !bytes.Contains(r.body, []byte(acme)) {
		t.Errorf("a list without any guard shows nothing foreign, so this proved nothing: %d", r.status)
	}
}

// portable are the tests that need nothing but an address, which are those of files without the tag
// local.
func portable(t *testing.T) (names []string) {
	t.Helper()
	eachFile(t, ".", func(name string, file *ast.File, text string) {
		if !strings.HasSuffix(name, "_test.go") || !strings.HasPrefix(text, "//go:build acceptance\n") {
			return
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name)
			}
		}
	})
	if len(names) < 50 {
		t.Fatalf("found only %d tests", len(names))
	}
	return names
}

func eachFile(t *testing.T, dir string, fn func(name string, file *ast.File, text string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err == nil {
			fn(name, file, string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nothingForeign reads everything that acme and globex can, and asks each for what it saw of the other.
func nothingForeign(t *testing.T, a *app) {
	t.Helper()
	adaMFA, eveMFA := adaApp, eveApp
	adaMFA.mfa, eveMFA.mfa = true, true
	sides := []struct {
		id, other string
		org, app  caller
	}{{acme, globex, adaOrg, adaMFA}, {globex, acme, eveOrg, eveMFA}}
	read, asked := 0, 0
	for i, side := range sides {
		foreigner := sides[1-i]
		for path, methods := range openAPI(t).Paths {
			who, asker := side.org, foreigner.org
			if strings.HasPrefix(path, "/api/v1/app/") {
				who, asker = side.app, foreigner.app
			}
			prefix, rest, _ := strings.Cut(path, "{org_id}")
			if _, ok := methods["get"]; !ok || strings.HasPrefix(path, "/api/v1/admin/") || rest == "" && prefix == path || strings.Contains(rest, "{") {
				continue
			}
			r := at(a, t, who, "GET", prefix+side.id+rest, nil)
			if r.status != http.StatusOK {
				continue
			}
			read++
			if bytes.Contains(r.body, []byte(side.other)) {
				t.Errorf("GET %s of %s holds something of %s: %s", path, side.id, side.other, r.body)
			}
			for _, id := range idsIn(r.body) {
				for item, methods := range openAPI(t).Paths {
					name, ok := strings.CutPrefix(item, path+"/{")
					if _, reads := methods["get"]; !ok || !reads || strings.Count(name, "/") > 0 {
						continue
					}
					asked++
					if r := at(a, t, asker, "GET", prefix+side.other+rest+"/"+id, nil); r.status != http.StatusNotFound && (!own(r, path[strings.LastIndexByte(path, '/')+1:]) || bytes.Contains(r.body, []byte(side.id))) {
						t.Errorf("GET %s answers %s, who has none, about %s: %d %s", item, side.other, id, r.status, r.body)
					}
				}
			}
		}
	}
	if read < 25 || asked < 20 {
		t.Errorf("%d answers read, %d questions asked: this proves little", read, asked)
	}
	t.Logf("%d answers hold nothing foreign, %d questions about the other's got no answer", read, asked)
}

// sinksGetTheirOwn has events delivered to both organisations, each of which refuses its first.
func sinksGetTheirOwn(t *testing.T, a *app) {
	t.Helper()
	for _, side := range []struct {
		id, other string
		org       caller
	}{{acme, globex, adaOrg}, {globex, acme, eveOrg}} {
		var refused atomic.Bool
		bodies := make(chan []byte, 1000)
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				bodies <- body
			}
			if refused.CompareAndSwap(false, true) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		defer receiver.Close()
		base := "/api/v1/org/" + side.id
		call := func(method, path string, body any) reply { return at(a, t, side.org, method, base+path, body) }
		sink := want[auditSink](t, call("POST", "/audit/sinks", map[string]any{"url": receiver.URL, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), http.StatusCreated)
		for range 3 {
			want[struct{}](t, call("POST", "/teams", map[string]any{"name": unique("sunk")}), http.StatusCreated)
		}
		for range 3 {
			select {
			case body := <-bodies:
				if !bytes.Contains(body, []byte(side.id)) || bytes.Contains(body, []byte(side.other)) {
					t.Errorf("a sink of %s got %s", side.id, body)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("the sink of %s got too little", side.id)
			}
		}
		ok(t, call("DELETE", "/audit/sinks/"+sink.ID, nil))
	}
}

var anyID = regexp.MustCompile(`"(?:id|user_id|key)":"([^"]+)"`)

// idsIn are the first few ids in an answer.
func idsIn(body []byte) (ids []string) {
	for _, m := range anyID.FindAllSubmatch(body, 5) {
		ids = append(ids, string(m[1]))
	}
	return ids
}

// own says that the answer is about what the asker has as well: settings have the same keys everywhere,
// and people belong to several organisations. The free tier denies patient records before it looks.
func own(r reply, kind string) bool {
	switch kind {
	case "settings", "members":
		return r.status == http.StatusOK
	case "patient-records":
		return r.status == http.StatusForbidden && bytes.Contains(r.body, []byte("upgrade_required"))
	}
	return false
}

// elsewhere are the statements that the suite does not bring about on an organisation's behalf, by words
// of theirs, and why. Row-level security on their tables is tested in orgs.
var elsewhere = map[string]string{
	"update audit.events set leaf_hash":                   "for what was written before events had leaves",
	"update audit.logs set archived":                      "the platform's: organisations only read their log's size",
	"update audit.logs set pruned":                        "the platform's, too",
	"where e.org_id = $1 and e.action =":                  "retention removes nothing that is younger than a month",
	"select l.seq from audit.leaves l":                    "retention",
	"delete from audit.events e":                          "retention",
	"select id from unnest($2::text[]) id":                "retention",
	"delete from authz.decisions":                         "retention",
	"update audit.deliveries d set state = 'pending'":     byChance,
	"update identity.impersonations set approved_by":      "takes two administrators, the demo has one",
	"delete from licensing.reservations\n":                "quotas are for products: nothing here reserves",
	"delete from licensing.reservations where":            "quotas",
	"update licensing.usage set reserved = reserved +":    "quotas",
	"update licensing.usage set reserved = reserved - $4": "quotas",
	"set review_at = coalesce($2":                         "the platform's: it takes whichever licence is next",
	"where org_id = $1 and review_at <= now()":            "the platform's, too",
	"insert into licensing.drifts":                        "the platform's: it compares every licence with Stripe",
	"update licensing.customers set customer_id":          "a customer must have been deleted at Stripe",
	"where m.user_id = $1 and m.org_id = $2":              "the user's: before it there is no organisation",
}

// byChance is the excuse of what two workers that meet bring about, now and then.
const byChance = "only when two workers meet"

// everyStatement wants every statement of the services that names an organisation among those that ran.
func everyStatement(t *testing.T, ran []string) {
	t.Helper()
	found, excused := 0, map[string]bool{}
	for _, service := range []string{"audit", "authz", "identity", "licensing", "orgs"} {
		eachFile(t, filepath.Join("../..", service), func(name string, file *ast.File, _ string) {
			if strings.HasSuffix(name, "_test.go") {
				return
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING || !orgPredicate.MatchString(lit.Value) {
					return true
				}
				found++
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(ran, func(sql string) bool { return holds(sql, text) }) {
					return true
				}
				for words := range elsewhere {
					if strings.Contains(text, words) {
						excused[words] = true
						return true
					}
				}
				t.Errorf("%s: never ran on an organisation's behalf (let a test bring it about, or say in elsewhere why none does): %s", name, text)
				return true
			})
		})
	}
	for words, why := range elsewhere {
		if !excused[words] && why != byChance {
			t.Errorf("%q needs no excuse any more", words)
		}
	}
	if len(ran) < 100 {
		t.Errorf("only %d statements ran", len(ran))
	}
	t.Logf("%d statements ran without their predicate, of %d that the code has %d did not", len(ran), found, len(excused))
}

var verb = regexp.MustCompile(`%\[?\d*\]?[sdqv]`)

// holds says that sql was made of text.
func holds(sql, text string) bool {
	for _, part := range verb.Split(text, -1) {
		if !strings.Contains(sql, part) {
			return false
		}
	}
	return true
}
