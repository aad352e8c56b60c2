package filter

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// row 1 has values, row 2 has NULL wherever a column may, row 3 is awkward.
const sample = `CREATE TEMP TABLE sample (n int, id uuid, sensitivity text, owner_id text, title text, note text, label text,
	team_id uuid, pii boolean, done boolean, size int, rank float8, tags text[], teams uuid[], at timestamptz);
INSERT INTO sample VALUES
	(1, '` + uuid1 + `', 'public', 'u', 'Abc', 'x', 'l', '` + uuid1 + `', true, true, 3, 1.5, '{a,b}', '{` + uuid1 + `}', '2026-01-01T00:00:00Z'),
	(2, '00000000-0000-7000-8000-000000000002', 'internal', 'v', NULL, NULL, NULL, NULL, false, NULL, 5, NULL, '{}', NULL, NULL),
	(3, '00000000-0000-7000-8000-000000000003', 'Public', '', '%_\', '', '', NULL, false, false, -1, 0, '{bb}', '{}', '2026-06-01T00:00:00+02:00')`

// TestPostgresAnswersAsThePoliciesWould: the rows named are those for which the
// policy language says true of the attributes that each row stands for. What
// fails there (an attribute that is missing, an order of null) selects nothing,
// negated or not.
func TestPostgresAnswersAsThePoliciesWould(t *testing.T) {
	t.Parallel()
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		t.Fatal("this test needs Postgres: set DATABASE_URL")
	}
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	for _, statement := range strings.Split(sample, ";\n") {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	cmp := func(operator, column string, v any) node { return op(operator, ref(column), lit(t, v)) }
	in := func(column string, v ...any) node { return op("in", ref(column), lit(t, v)) }
	e := func(n node) node { return op("exists", ref("tags"), op("lambda", n, name("x"))) }
	x := func(operator string, v any) node { return op(operator, name("x"), lit(t, v)) }
	for title, c := range map[string]struct {
		in      node
		is, not []int
	}{
		"eq is case-sensitive":     {cmp("eq", "sensitivity", "public"), []int{1}, []int{2, 3}},
		"bool":                     {ref("pii"), []int{1}, []int{2, 3}},
		"bool missing":             {ref("done"), []int{1}, []int{3}},
		"missing":                  {cmp("eq", "title", "Abc"), []int{1}, []int{3}},
		"null":                     {cmp("eq", "note", nil), []int{2}, []int{1, 3}},
		"null is not a value":      {cmp("eq", "note", "x"), []int{1}, []int{2, 3}},
		"zero":                     {cmp("eq", "label", ""), []int{2, 3}, []int{1}},
		"zero is not a value":      {cmp("eq", "label", "l"), []int{1}, []int{2, 3}},
		"uuid":                     {cmp("eq", "team_id", uuid1), []int{1}, []int{2, 3}},
		"no uuid":                  {cmp("eq", "team_id", ""), []int{2, 3}, []int{1}},
		"never a uuid":             {cmp("eq", "team_id", "t"), nil, []int{1, 2, 3}},
		"number":                   {cmp("eq", "size", 3), []int{1}, []int{2, 3}},
		"no whole number":          {cmp("eq", "size", 3.5), nil, []int{1, 2, 3}},
		"order":                    {cmp("gt", "size", 3), []int{2}, []int{1, 3}},
		"order of zero":            {cmp("le", "rank", 0), []int{2, 3}, []int{1}},
		"order of text is by byte": {cmp("lt", "sensitivity", "a"), []int{3}, []int{1, 2}},
		"order of missing":         {cmp("lt", "title", "Z"), []int{1, 3}, nil},
		"in":                       {in("sensitivity", "public", "internal"), []int{1, 2}, []int{3}},
		"in, missing":              {in("title", "Abc", "q"), []int{1}, []int{3}},
		"in, null":                 {in("note", "x", "q"), []int{1}, []int{2, 3}},
		"in, zero":                 {in("label", "", "q"), []int{2, 3}, []int{1}},
		"in uuids":                 {in("team_id", uuid1, "q"), []int{1}, []int{2, 3}},
		"in uuids or none":         {in("team_id", uuid1, ""), []int{1, 2, 3}, nil},
		"in nothing":               {in("title"), nil, []int{1, 3}},
		"element":                  {op("in", lit(t, "a"), ref("tags")), []int{1}, []int{2, 3}},
		"intersection":             {cmp("hasIntersection", "teams", []any{uuid1, "q"}), []int{1}, []int{2, 3}},
		"prefix":                   {cmp("startsWith", "title", "A"), []int{1}, []int{3}},
		"wildcards are characters": {cmp("startsWith", "title", `%_\`), []int{3}, []int{1}},
		"suffix":                   {cmp("endsWith", "title", "bc"), []int{1}, []int{3}},
		"empty suffix":             {cmp("endsWith", "label", ""), []int{1, 2, 3}, nil},
		"longer suffix":            {cmp("endsWith", "title", "xAbc"), nil, []int{1, 3}},
		"part":                     {cmp("contains", "title", "b"), []int{1}, []int{3}},
		"empty part":               {cmp("contains", "label", ""), []int{1, 2, 3}, nil},
		"exists":                   {e(x("startsWith", "b")), []int{1, 3}, []int{2}},
		"exists, not":              {e(op("not", x("eq", "a"))), []int{1, 3}, []int{2}},
		"or":                       {op("or", ref("done"), cmp("eq", "size", 5)), []int{1, 2}, []int{3}},
		"all":                      {op("all", ref("tags"), op("lambda", x("startsWith", "b"), name("x"))), []int{2, 3}, []int{1}},
		"size":                     {op("ge", op("size", ref("tags")), lit(t, 1)), []int{1, 3}, []int{2}},
		"size of zero":             {op("eq", op("size", ref("teams")), lit(t, 0)), []int{2, 3}, []int{1}},
		"size of missing":          {op("eq", op("size", ref("title")), lit(t, 3)), []int{1, 3}, nil},
		"sum":                      {op("eq", op("add", ref("size"), lit(t, 2.5)), lit(t, 5.5)), []int{1}, []int{2, 3}},
		"product of zero":          {op("gt", op("mult", ref("rank"), lit(t, 1.5)), lit(t, 2)), []int{1}, []int{2, 3}},
		"quotient":                 {op("eq", op("div", ref("size"), lit(t, 0.5)), lit(t, 6)), []int{1}, []int{2, 3}},
		"moment":                   {op("lt", op("timestamp", ref("at")), op("timestamp", lit(t, "2026-05-31T22:00:00Z"))), []int{1}, []int{3}},
		"same moment":              {op("eq", op("timestamp", ref("at")), op("timestamp", lit(t, "2026-05-31T22:00:00Z"))), []int{3}, []int{1}},
		"looked up":                {op("in", lit(t, "lead"), op("index", lit(t, map[string]any{"x": []any{"lead"}, "": []any{"member"}}), ref("note"))), []int{1}, []int{3}},
		"looked up, zero":          {op("eq", op("index", lit(t, map[string]any{"l": "a", "": "b"}), ref("label")), lit(t, "b")), []int{2, 3}, []int{1}},
		"columns":                  {op("eq", ref("owner_id"), ref("sensitivity")), nil, []int{1, 2, 3}},
	} {
		for negated, want := range map[bool][]int{false: c.is, true: c.not} {
			condition := c.in
			if negated {
				condition = op("not", condition)
			}
			where, args, err := plan(t, condition).SQL(cols, 1)
			if err != nil {
				t.Fatalf("%s: %v", title, err)
			}
			found, err := db.Query(t.Context(), "SELECT n FROM sample WHERE "+where+" ORDER BY n", args...)
			if err != nil {
				t.Fatalf("%s: %s: %v", title, where, err)
			}
			got, err := pgx.CollectRows(found, pgx.RowTo[int])
			if err != nil {
				t.Fatalf("%s: %s: %v", title, where, err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, negated %v: %s selects %v, want %v", title, negated, where, got, want)
			}
		}
	}
}
