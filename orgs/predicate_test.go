package orgs

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// predicate is how a statement says whose rows it means.
var predicate = regexp.MustCompile(`\b(?:\w+\.org_id|o\.id|m\.user_id) = \$1\b`)

// statements are the store's, by the name of what declares them. Their arguments name our organisation
// and, where they name a row, a row of theirs.
var statements = map[string]struct {
	sql  string
	args func(ours, theirs bundle) []any
}{
	"selectOrg":         {selectOrg, func(o, _ bundle) []any { return []any{o.org} }},
	"updateOrg":         {updateOrg, func(o, _ bundle) []any { return []any{o.org, 1, "t" + rowid.New().String(), "n"} }},
	"updateState":       {updateState, func(o, _ bundle) []any { return []any{o.org, "active", "suspended"} }},
	"selectSeats":       {selectSeats, func(o, _ bundle) []any { return []any{o.org} }},
	"selectMember":      {selectMember, func(o, t bundle) []any { return []any{o.org, t.user} }},
	"selectMembers":     {selectMembers, func(o, _ bundle) []any { return []any{o.org, uuid.Nil, 100} }},
	"selectRoles":       {selectRoles, func(o, t bundle) []any { return []any{o.org, t.user} }},
	"countOwners":       {countOwners, func(o, _ bundle) []any { return []any{o.org, o.user} }},
	"countMembers":      {countMembers, func(o, _ bundle) []any { return []any{o.org, o.user} }},
	"updateRoles":       {updateRoles, func(o, t bundle) []any { return []any{o.org, t.user, 1, []string{"guest"}} }},
	"deleteMember":      {deleteMember, func(o, t bundle) []any { return []any{o.org, t.user, 1} }},
	"selectTeam":        {selectTeam, func(o, t bundle) []any { return []any{o.org, t.team} }},
	"selectTeams":       {selectTeams, func(o, _ bundle) []any { return []any{o.org, uuid.Nil, 100} }},
	"updateTeam":        {updateTeam, func(o, t bundle) []any { return []any{o.org, t.team, 1, "n"} }},
	"deleteTeam":        {deleteTeam, func(o, t bundle) []any { return []any{o.org, t.team, 1} }},
	"countTeams":        {countTeams, func(o, t bundle) []any { return []any{o.org, []uuid.UUID{t.team}} }},
	"selectTeamMembers": {selectTeamMembers, func(o, t bundle) []any { return []any{o.org, t.team, uuid.Nil, 100} }},
	"deleteTeamMember":  {deleteTeamMember, func(o, t bundle) []any { return []any{o.org, t.team, t.user} }},
	"joinTeams":         {joinTeams, func(o, t bundle) []any { return []any{o.org, []uuid.UUID{t.team}, t.user} }},
	"selectInvitation":  {selectInvitation, func(o, t bundle) []any { return []any{o.org, t.invitation} }},
	"selectInvitations": {selectInvitations, func(o, _ bundle) []any { return []any{o.org, uuid.Nil, 100} }},
	"selectInvitationByToken": {selectInvitationByToken, func(o, t bundle) []any {
		return []any{o.org, hashOf(t.invitation[:])}
	}},
	"supersede":        {supersede, func(o, t bundle) []any { return []any{o.org, t.org.String() + "@example.test"} }},
	"renewInvitation":  {renewInvitation, func(o, t bundle) []any { return []any{o.org, t.invitation, 1, hashOf(o.org[:]), time.Now()} }},
	"revokeInvitation": {revokeInvitation, func(o, t bundle) []any { return []any{o.org, t.invitation} }},
	"acceptInvitation": {acceptInvitation, func(o, t bundle) []any { return []any{o.org, t.invitation, 1, t.user} }},
}

func init() {
	for _, k := range kinds {
		add := func(name, sql string, args func(ours, theirs bundle) []any) {
			s := statements[name]
			s.sql, s.args = sql, args
			statements[name+" "+k.name] = s
		}
		write := func(last ...any) func(ours, theirs bundle) []any {
			return func(o, t bundle) []any { return append([]any{o.org, t.resource, 1}, last...) }
		}
		own := k.own(resource{PatientRef: "p", ClinicianID: new(uuid.UUID)})
		add("selectOne", k.selectOne(), func(o, t bundle) []any { return []any{o.org, t.resource} })
		add("selectPage", k.selectPage("true"), func(o, _ bundle) []any { return []any{o.org, uuid.Nil, 100} })
		add("updateOne", k.updateOne(), write(append([]any{nil, "t", "b", "public", false}, own...)...))
		add("deleteOne", k.deleteOne(), write())
		// It is about hidden rows; here are none, so it is tried on the others.
		add("leaveTeam", strings.Replace(k.leaveTeam(), "is not null", "is null", 1), func(o, t bundle) []any { return []any{o.org, t.team} })
	}
}

// With the predicate taken out of any one statement, row-level security still keeps the others' rows
// from it: it gives, and changes, exactly what it did with the predicate.
func TestAStatementWithoutItsPredicateReachesNoForeignRow(t *testing.T) {
	t.Parallel()
	ours, theirs := setup(t), setup(t)
	err := open().db.Tx(context.Background(), tenantdb.Org(ours.org), func(tx pgx.Tx) error { // so that their seats tell
		_, err := tx.Exec(context.Background(), "update orgs.orgs set seats = 77 where id = $1", ours.org)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range statements {
		t.Run(name, func(t *testing.T) {
			without := predicate.ReplaceAllString(s.sql, "$$1::uuid is not null")
			if without == s.sql {
				t.Fatal("it has no predicate to take out")
			}
			args := s.args(ours, theirs)
			with := effect(t, tenantdb.Org(ours.org), s.sql, args)
			if got := effect(t, tenantdb.Org(ours.org), without, args); !slices.Equal(got, with) {
				t.Errorf("it reached\n%s\nand with its predicate\n%s", strings.Join(got, "\n"), strings.Join(with, "\n"))
			}
			// The rows are there to be reached, by those whose they are.
			if got := effect(t, tenantdb.Org(theirs.org), without, args); slices.Equal(got, with) {
				t.Error("it reaches as little in their own scope: this proves nothing")
			}
		})
	}
}

// A user sees their own memberships and nobody else's, whatever the query forgets to ask.
func TestMembershipsWithoutTheirPredicateAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	ours, theirs := setup(t), setup(t)
	for name, c := range map[string]struct {
		sql  string
		args []any
	}{
		"selectMembership": {selectMembership + " where m.user_id = $1", []any{theirs.user}},
		"selectOwn":        {selectOwn, []any{theirs.user, uuid.Nil, 100}},
	} {
		without := predicate.ReplaceAllString(c.sql, "$$1::uuid is not null")
		got := effect(t, tenantdb.User(ours.user), without, c.args)
		if len(got) != 1 || !strings.Contains(got[0], ours.org.String()) || strings.Contains(got[0], theirs.org.String()) {
			t.Errorf("%s: got %s", name, strings.Join(got, "\n"))
		}
	}
}

var errUndo = errors.New("undo")

// effect is what a statement gives back, how many rows it changed, or what stopped it, under a scope.
// It is undone.
func effect(t *testing.T, scope tenantdb.Scope, sql string, args []any) (out []string) {
	t.Helper()
	err := open().db.Tx(context.Background(), scope, func(tx pgx.Tx) error {
		if !strings.HasPrefix(strings.TrimSpace(sql), "select") && !strings.Contains(sql, "returning") {
			tag, err := tx.Exec(context.Background(), sql, args...)
			if err != nil {
				return err
			}
			out = []string{fmt.Sprint(tag.RowsAffected())}
			return errUndo
		}
		rows, err := tx.Query(context.Background(), "with q as ("+sql+") select to_jsonb(q) - 'updated_at' from q", args...)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		return errUndo
	})
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pgerrcode.IsIntegrityConstraintViolation(pg.Code): // it reached a row
		return []string{pg.ConstraintName}
	case !errors.Is(err, errUndo):
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// others hold statements that need a caller, an archive or a whole transaction around them: those are
// tried in infra/acceptance, with the whole suite.
var others = regexp.MustCompile(`^(settings|export|offboard|erase|license|usage)`)

// Every statement that names an organisation is in the table above.
func TestEveryStatementIsTriedWithoutItsPredicate(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := func(name string) bool {
		_, ok := statements[name]
		_, ofKinds := statements[name+" "+projectKind.name]
		return ok || ofKinds || slices.Contains([]string{"selectOwn", "memberships", "tenant"}, name)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || others.MatchString(name) {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		check := func(declared string, n ast.Node) {
			ast.Inspect(n, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && predicate.MatchString(lit.Value) {
					found++
					if !known(declared) {
						t.Errorf("%s: %s names an organisation and is not tried without it", name, declared)
					}
				}
				return true
			})
		}
		for _, decl := range parsed.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				check(d.Name.Name, d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						check(v.Names[0].Name, v)
					}
				}
			}
		}
	}
	if found < len(kinds)+20 {
		t.Errorf("found only %d statements: this test looks in the wrong place", found)
	}
}
