package filter

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

var cols = map[string]Column{
	ResourceID:    {SQL: "id", Type: UUID},
	"sensitivity": {SQL: "sensitivity", Type: Text},
	"owner_id":    {SQL: "owner_id", Type: Text},
	"title":       {SQL: "title", Type: Text, Null: NullIsMissing},
	"note":        {SQL: "note", Type: Text, Null: NullIsNull},
	"label":       {SQL: "label", Type: Text, Null: NullIsZero},
	"team_id":     {SQL: "team_id", Type: UUID, Null: NullIsZero},
	"pii":         {SQL: "pii", Type: Bool},
	"done":        {SQL: "done", Type: Bool, Null: NullIsMissing},
	"size":        {SQL: "size", Type: Number},
	"rank":        {SQL: "rank", Type: Number, Null: NullIsZero},
	"tags":        {SQL: "tags", Type: TextArray},
	"teams":       {SQL: "teams", Type: UUIDArray, Null: NullIsZero},
	"at":          {SQL: "at", Type: Time, Null: NullIsMissing},
	"flag":        {SQL: "flag", Type: Bool, Null: NullIsNull},
	"bare":        {},
}

const (
	uuid1 = "00000000-0000-7000-8000-000000000001"
	attr  = "request.resource.attr."
)

type node = *enginev1.PlanResourcesFilter_Expression_Operand

func lit(t testing.TB, v any) node {
	t.Helper()
	value, err := structpb.NewValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return &enginev1.PlanResourcesFilter_Expression_Operand{Node: &enginev1.PlanResourcesFilter_Expression_Operand_Value{Value: value}}
}

func ref(n string) node {
	if n != ResourceID {
		n = attr + n
	}
	return name(n)
}

func op(operator string, operands ...node) node {
	return &enginev1.PlanResourcesFilter_Expression_Operand{Node: &enginev1.PlanResourcesFilter_Expression_Operand_Expression{
		Expression: &enginev1.PlanResourcesFilter_Expression{Operator: operator, Operands: operands}}}
}

func name(n string) node {
	return &enginev1.PlanResourcesFilter_Expression_Operand{Node: &enginev1.PlanResourcesFilter_Expression_Operand_Variable{Variable: n}}
}

func plan(t testing.TB, condition node) *Plan {
	t.Helper()
	p, err := New(&enginev1.PlanResourcesFilter{Kind: enginev1.PlanResourcesFilter_KIND_CONDITIONAL, Condition: condition})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// leads asks for a role in a map of roles by team, as a caller's teams are planned.
func leads(t testing.TB, role, column string) node {
	t.Helper()
	field := func(key string, roles ...any) node { return op("set-field", lit(t, key), lit(t, roles)) }
	teams := op("struct", field("t1", "lead"), field("t2", "member"), field("t3", "lead", "member"))
	return op("in", lit(t, role), op("index", teams, ref(column)))
}

func TestSQL(t *testing.T) {
	t.Parallel()
	not := func(n node) node { return op("not", n) }
	eq := func(n string, v any) node { return op("eq", ref(n), lit(t, v)) }
	list := func(v ...any) node { return lit(t, v) }
	e := func(n node) node { return op("exists", ref("tags"), op("lambda", n, name("x"))) }
	cases := map[string]struct {
		in   node
		want string
		args []any
	}{
		"constant":             {lit(t, true), "(TRUE)", nil},
		"not a constant":       {not(lit(t, true)), "(FALSE)", nil},
		"eq":                   {eq("sensitivity", "public"), "(sensitivity = $3::text)", []any{"public"}},
		"eq, literal first":    {op("eq", lit(t, "u"), ref("owner_id")), "(owner_id = $3::text)", []any{"u"}},
		"ne":                   {op("ne", ref("owner_id"), lit(t, "u")), "(owner_id <> $3::text)", []any{"u"}},
		"not ne":               {not(op("ne", ref("owner_id"), lit(t, "u"))), "(owner_id = $3::text)", []any{"u"}},
		"bare boolean":         {ref("pii"), "(pii = $3::boolean)", []any{true}},
		"not a boolean":        {not(ref("pii")), "(pii <> $3::boolean)", []any{true}},
		"id":                   {op("eq", ref(ResourceID), lit(t, uuid1)), "(id = $3::uuid)", []any{uuid1}},
		"id that is no id":     {op("eq", ref(ResourceID), lit(t, "x")), "(FALSE)", nil},
		"not an id":            {op("ne", ref(ResourceID), lit(t, "x")), "(id IS NOT NULL)", nil},
		"id in other case":     {op("eq", ref(ResourceID), lit(t, strings.ToUpper("0000000a-0000-7000-8000-000000000001"))), "(FALSE)", nil},
		"and or":               {op("and", ref("pii"), op("or", eq("size", 1.0), eq("size", 2.0))), "((pii = $3::boolean AND (size::double precision = $4::double precision OR size::double precision = $5::double precision)))", []any{true, 1.0, 2.0}},
		"De Morgan":            {not(op("and", ref("pii"), op("or", eq("size", 1.0), eq("size", 2.0)))), "((pii <> $3::boolean OR (size::double precision <> $4::double precision AND size::double precision <> $5::double precision)))", []any{true, 1.0, 2.0}},
		"double negation":      {not(not(ref("pii"))), "(pii = $3::boolean)", []any{true}},
		"order":                {op("ge", ref("size"), lit(t, 3)), "(size::double precision >= $3::double precision)", []any{3.0}},
		"order, literal first": {op("lt", lit(t, 5), ref("size")), "(size::double precision > $3::double precision)", []any{5.0}},
		"not order":            {not(op("lt", ref("size"), lit(t, 5))), "(size::double precision >= $3::double precision)", []any{5.0}},
		"order of text":        {op("le", ref("title"), lit(t, "m")), `(title COLLATE "C" <= $3::text)`, []any{"m"}},
		"order, NULL is zero":  {op("le", ref("rank"), lit(t, 0)), "(coalesce(rank::double precision, 0) <= $3::double precision)", []any{0.0}},
		"in":                   {op("in", ref("sensitivity"), list("a", "b")), "(sensitivity = ANY($3::text[]))", []any{[]string{"a", "b"}}},
		"in nothing":           {op("in", ref("sensitivity"), list()), "(sensitivity = ANY($3::text[]))", []any{[]string{}}},
		"not in":               {not(op("in", ref("title"), list("a"))), "((title <> ALL($3::text[]) AND title IS NOT NULL))", []any{[]string{"a"}}},
		"not in, null":         {not(op("in", ref("note"), list("a"))), "((note <> ALL($3::text[]) OR note IS NULL))", []any{[]string{"a"}}},
		"in ids":               {op("in", ref("team_id"), list(uuid1, "x")), "(team_id = ANY($3::uuid[]))", []any{[]string{uuid1}}},
		"in ids or none":       {op("in", ref("team_id"), list(uuid1, "")), "((team_id = ANY($3::uuid[]) OR team_id IS NULL))", []any{[]string{uuid1}}},
		"not in ids or none":   {not(op("in", ref("team_id"), list(uuid1, ""))), "((team_id <> ALL($3::uuid[]) AND team_id IS NOT NULL))", []any{[]string{uuid1}}},
		"element":              {op("in", lit(t, "a"), ref("tags")), "(tags && $3::text[])", []any{[]string{"a"}}},
		"intersection":         {op("hasIntersection", list("a", "b"), ref("tags")), "(tags && $3::text[])", []any{[]string{"a", "b"}}},
		"no intersection":      {not(op("hasIntersection", ref("teams"), list(uuid1))), "(NOT (coalesce(teams, '{}'::uuid[]) && $3::uuid[]))", []any{[]string{uuid1}}},
		"prefix":               {op("startsWith", ref("title"), lit(t, "a%_")), "(starts_with(title, $3::text))", []any{"a%_"}},
		"no prefix":            {not(op("startsWith", ref("label"), lit(t, "a"))), "(NOT (starts_with(coalesce(label, ''), $3::text)))", []any{"a"}},
		"suffix":               {op("endsWith", ref("title"), lit(t, "a")), "(right(title, length($3::text)) = $3::text)", []any{"a"}},
		"part":                 {op("contains", ref("title"), lit(t, "a")), "(strpos(title, $3::text) > 0)", []any{"a"}},
		"exists":               {e(op("or", op("eq", name("x"), lit(t, "a")), op("startsWith", name("x"), lit(t, "b")))), "(EXISTS (SELECT FROM unnest(tags) WITH ORDINALITY AS e1(value, n) WHERE (e1.value = $3::text OR starts_with(e1.value, $4::text))))", []any{"a", "b"}},
		"not exists":           {not(e(op("eq", name("x"), lit(t, "a")))), "((tags IS NOT NULL AND NOT EXISTS (SELECT FROM unnest(tags) WITH ORDINALITY AS e1(value, n) WHERE (e1.value <> $3::text) IS NOT TRUE)))", []any{"a"}},
		"all":                  {op("all", ref("tags"), op("lambda", op("eq", name("x"), lit(t, "a")), name("x"))), "((tags IS NOT NULL AND NOT EXISTS (SELECT FROM unnest(tags) WITH ORDINALITY AS e1(value, n) WHERE (e1.value = $3::text) IS NOT TRUE)))", []any{"a"}},
		"size":                 {op("gt", op("size", ref("tags")), lit(t, 1)), "(cardinality(tags)::double precision > $3::double precision)", []any{1.0}},
		"size of zero":         {op("eq", op("size", ref("teams")), lit(t, 0)), "(cardinality(coalesce(teams::text[], '{}'::text[]))::double precision = $3::double precision)", []any{0.0}},
		"sum":                  {op("ge", op("add", ref("size"), lit(t, 2.5)), lit(t, 5)), "((size::double precision + $3::double precision)::double precision >= $4::double precision)", []any{2.5, 5.0}},
		"count":                {op("eq", op("mod", op("size", ref("tags")), lit(t, 2)), lit(t, 1)), "((cardinality(tags)::bigint % $3::bigint)::double precision = $4::double precision)", []any{int64(2), 1.0}},
		"one of two":           {op("if", ref("pii"), ref("done"), lit(t, false)), "(((pii = $3::boolean AND done = $4::boolean) OR (pii <> $5::boolean AND FALSE)))", []any{true, true, true}},
		"exactly one":          {op("exists_one", ref("tags"), op("lambda", op("eq", name("x"), lit(t, "a")), name("x"))), "((tags IS NOT NULL AND (SELECT count(*) FILTER (WHERE m.kept) = 1 AND coalesce(bool_and(m.kept OR m.dropped), TRUE) FROM (SELECT e1.value AS item, e1.n AS n, (e1.value = $3::text) IS TRUE AS kept, (e1.value <> $4::text) IS TRUE AS dropped FROM unnest(tags) WITH ORDINALITY AS e1(value, n)) AS m)))", []any{"a", "a"}},
		"all but":              {op("eq", op("except", ref("tags"), list("a")), list()), "((CASE WHEN tags IS NOT NULL AND $3::text[] IS NOT NULL THEN array(SELECT i.value FROM unnest(tags) WITH ORDINALITY AS i(value, n) WHERE i.value <> ALL($3::text[]) ORDER BY i.n) END) = $4::text[])", []any{[]string{"a"}, []string{}}},
		"subset":               {op("isSubset", ref("tags"), list("a")), "(tags <@ $3::text[])", []any{[]string{"a"}}},
		"first":                {op("eq", op("index", ref("tags"), lit(t, 0)), lit(t, "x")), "(((tags)[1]) = $3::text)", []any{"x"}},
		"upper case":           {op("eq", op("upperAscii", ref("title")), lit(t, "A")), `(upper(title COLLATE "C") = $3::text)`, []any{"A"}},
		"joined":               {op("eq", op("add", ref("title"), lit(t, "x")), lit(t, "ax")), "((title || $3::text) = $4::text)", []any{"x", "ax"}},
		"year":                 {op("eq", op("getFullYear", op("timestamp", ref("at"))), lit(t, 2026)), "((extract(year from at AT TIME ZONE 'UTC'))::bigint::double precision = $3::double precision)", []any{2026.0}},
		"moved":                {op("lt", op("add", op("timestamp", ref("at")), op("duration", lit(t, "3600s"))), op("timestamp", ref("at"))), "((at + make_interval(secs => $3::double precision)) < at)", []any{3600.0}},
		"set":                  {op("isSet", ref("title"), lit(t, true)), "(title IS NOT NULL)", nil},
		"not set":              {not(op("isSet", ref("title"), lit(t, true))), "(title IS NULL)", nil},
		"always set":           {op("isSet", ref("note"), lit(t, true)), "(TRUE)", nil},
		"null, missing":        {eq("title", nil), "(FALSE)", nil},
		"not null, missing":    {not(eq("title", nil)), "(title IS NOT NULL)", nil},
		"not null as a flag":   {not(ref("flag")), "(flag <> $3::boolean)", []any{true}},
		"moment":               {op("lt", op("timestamp", ref("at")), op("timestamp", lit(t, "2026-01-02T03:04:05Z"))), "(at < $3::timestamptz)", []any{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}},
		"looked up":            {leads(t, "lead", "note"), "(note = ANY($3::text[]))", []any{[]string{"t1", "t3"}}},
		"not looked up":        {not(leads(t, "lead", "note")), "(note = ANY($3::text[]))", []any{[]string{"t2"}}},
		"columns":              {op("ne", ref("owner_id"), ref("sensitivity")), "(owner_id <> sensitivity)", nil},
		"null never":           {eq("owner_id", nil), "(FALSE)", nil},
		"null":                 {eq("note", nil), "(note IS NULL)", nil},
		"not null":             {not(eq("note", nil)), "(note IS NOT NULL)", nil},
		"ne, null":             {op("ne", ref("note"), lit(t, "a")), "(note IS DISTINCT FROM $3::text)", []any{"a"}},
		"ne, missing":          {op("ne", ref("title"), lit(t, "a")), "(title <> $3::text)", []any{"a"}},
		"no team":              {eq("team_id", ""), "(team_id IS NULL)", nil},
		"some team":            {not(eq("team_id", "")), "(team_id IS NOT NULL)", nil},
		"other team":           {op("ne", ref("team_id"), lit(t, uuid1)), "(team_id IS DISTINCT FROM $3::uuid)", []any{uuid1}},
		"zero":                 {eq("label", ""), "(coalesce(label, $3::text) = $4::text)", []any{"", ""}},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			got, args, err := plan(t, c.in).SQL(cols, 3)
			if err != nil || got != c.want || !reflect.DeepEqual(args, c.args) {
				t.Errorf("got  %s %v %v\nwant %s %v", got, args, err, c.want, c.args)
			}
		})
	}
}

func TestWhatCannotBeTranslatedIsRefused(t *testing.T) {
	t.Parallel()
	x := op("eq", name("x"), lit(t, "a"))
	deep := ref("pii")
	for range maxDepth + 1 {
		deep = op("not", deep)
	}
	var unmapped *UnmappedError
	var unsupported *UnsupportedError
	cases := map[string]struct {
		in   node
		want any
	}{
		"unmapped":            {ref("salary"), &unmapped},
		"column without type": {ref("bare"), &unmapped},
		"principal":           {op("eq", name("request.principal.attr.mfa_level"), lit(t, 2)), &unmapped},
		"aux data":            {name("request.aux_data.jwt.sub"), &unmapped},
		"unknown operator":    {op("matches", ref("title"), lit(t, "a")), &unsupported},
		"nested operand":      {op("gt", op("size", ref("tags"), lit(t, 1)), lit(t, 1)), &unsupported},
		"size of a number":    {op("gt", op("size", ref("size")), lit(t, 1)), &unsupported},
		"mod":                 {op("eq", op("mod", ref("size"), lit(t, 2)), lit(t, 1)), &unsupported},
		"by zero":             {op("eq", op("div", ref("size"), lit(t, 0)), lit(t, 1)), &unsupported},
		"by a column":         {op("eq", op("div", lit(t, 1), ref("size")), lit(t, 1)), &unsupported},
		"moment as text":      {op("eq", ref("at"), lit(t, "2026-01-02T03:04:05Z")), &unsupported},
		"moment unread":       {op("lt", ref("at"), op("timestamp", lit(t, "2026-01-02T03:04:05Z"))), &unsupported},
		"nanoseconds":         {op("lt", op("timestamp", ref("at")), op("timestamp", lit(t, "2026-01-02T03:04:05.000000001Z"))), &unsupported},
		"text as a moment":    {op("lt", op("timestamp", ref("title")), op("timestamp", lit(t, "2026-01-02T03:04:05Z"))), &unsupported},
		"map of lists, equal": {op("eq", op("index", lit(t, map[string]any{"a": []any{}}), ref("title")), lit(t, "x")), &unsupported},
		"map by a number":     {op("eq", op("index", lit(t, map[string]any{"a": "x"}), ref("size")), lit(t, "x")), &unsupported},
		"wrong type":          {op("eq", ref("pii"), lit(t, "true")), &unsupported},
		"number for text":     {op("eq", ref("title"), lit(t, 1)), &unsupported},
		"text as a condition": {ref("title"), &unsupported},
		"order of ids":        {op("lt", ref("team_id"), lit(t, uuid1)), &unsupported},
		"mixed list":          {op("in", ref("title"), lit(t, []any{"a", 1})), &unsupported},
		"in no list":          {op("in", ref("title"), lit(t, "a")), &unsupported},
		"element of text":     {op("in", lit(t, "a"), ref("title")), &unsupported},
		"columns of types":    {op("eq", ref("sensitivity"), ref("pii")), &unsupported},
		"two literals":        {op("eq", lit(t, 1), lit(t, 1)), &unsupported},
		"number as condition": {lit(t, 1), &unsupported},
		"empty and":           {op("and"), &unsupported},
		"not of two":          {op("not", ref("pii"), ref("pii")), &unsupported},
		"nothing":             {&enginev1.PlanResourcesFilter_Expression_Operand{}, &unsupported},
		"too deep":            {deep, &unsupported},
		"exists over text":    {op("exists", ref("title"), op("lambda", x, name("x"))), &unsupported},
		"whole number":        {op("eq", op("add", ref("size"), lit(t, 2)), lit(t, 5)), &unsupported},
		"int and double":      {op("gt", op("add", op("size", ref("tags")), ref("size")), lit(t, 1)), &unsupported},
		"count and fraction":  {op("gt", op("add", op("size", ref("tags")), lit(t, 1.5)), lit(t, 1)), &unsupported},
		"sum of nulls":        {op("eq", op("add", ref("note"), lit(t, "x")), lit(t, "x")), &unsupported},
		"cast of a text":      {op("gt", op("int", ref("title")), lit(t, 1)), &unsupported},
		"pattern":             {op("ancestorOf", op("hierarchy", ref("title")), op("hierarchy", lit(t, "a.b"))), &unsupported},
		"time zone":           {op("eq", op("getHours", op("timestamp", ref("at")), lit(t, "Europe/Paris")), lit(t, 1)), &unsupported},
		"long time":           {op("lt", op("add", op("timestamp", ref("at")), op("duration", lit(t, "2000000h"))), op("timestamp", ref("at"))), &unsupported},
		"list by a fraction":  {op("eq", op("index", ref("tags"), lit(t, 0.5)), lit(t, "x")), &unsupported},
		"unlike list":         {op("eq", ref("tags"), lit(t, []any{"a", 1})), &unsupported},
		"unlike choice":       {op("eq", op("if", ref("pii"), ref("title"), ref("size")), lit(t, "x")), &unsupported},
		"lambda of two names": {op("exists", ref("tags"), op("lambda", x, name("x"), name("y"))), &unsupported},
		"set, of nothing":     {op("isSet", lit(t, 1), lit(t, true)), &unsupported},
		"name outside exists": {op("and", op("exists", ref("tags"), op("lambda", x, name("x"))), x), &unmapped},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			got, args, err := plan(t, c.in).SQL(cols, 1)
			switch want := c.want.(type) {
			case **UnmappedError:
				var e *UnmappedError
				if !errors.As(err, &e) {
					t.Errorf("got %v, want %T", err, *want)
				}
			case **UnsupportedError:
				var e *UnsupportedError
				if !errors.As(err, &e) {
					t.Errorf("got %v, want %T", err, *want)
				}
			}
			if got != "(FALSE)" || args != nil {
				t.Errorf("the predicate beside the error is %s %v", got, args)
			}
		})
	}
}

func TestNothingDenies(t *testing.T) {
	t.Parallel()
	for title, p := range map[string]*Plan{"nil": nil, "zero": {}} {
		if where, _, err := p.SQL(cols, 1); where != "(FALSE)" || err != nil || !p.AlwaysDenied() || p.AlwaysAllowed() {
			t.Errorf("%s plan: %s %v", title, where, err)
		}
	}
	for title, f := range map[string]*enginev1.PlanResourcesFilter{
		"nil": nil, "empty": {}, "unknown kind": {Kind: 99},
		"conditional without a condition": {Kind: enginev1.PlanResourcesFilter_KIND_CONDITIONAL},
	} {
		if p, err := New(f); err == nil || !p.AlwaysDenied() {
			t.Errorf("%s: %v %v", title, p, err)
		}
	}
	if where, _, err := plan(t, ref("pii")).SQL(cols, 0); err == nil || where != "(FALSE)" {
		t.Errorf("placeholder $0: %s %v", where, err)
	}
	allowed, err := New(&enginev1.PlanResourcesFilter{Kind: enginev1.PlanResourcesFilter_KIND_ALWAYS_ALLOWED})
	if where, _, sqlErr := allowed.SQL(nil, 1); err != nil || sqlErr != nil || where != "(TRUE)" || !allowed.AlwaysAllowed() {
		t.Errorf("allowed: %s %v %v", where, err, sqlErr)
	}
}

var placeholder = regexp.MustCompile(`\$([0-9]+)::`)

// FuzzSQL holds the shape that any predicate must have: no literal in the text,
// every argument named and no other, balanced parentheses, FALSE beside an error.
func FuzzSQL(f *testing.F) {
	for _, seed := range []string{
		`{"variable":"request.resource.attr.pii"}`,
		`{"expression":{"operator":"in","operands":[{"variable":"request.resource.attr.team_id"},{"value":["","x';--"]}]}}`,
		`{"expression":{"operator":"not","operands":[{"expression":{"operator":"exists","operands":[{"variable":"request.resource.attr.tags"},{"expression":{"operator":"lambda","operands":[{"expression":{"operator":"eq","operands":[{"variable":"x"},{"value":"a"}]}},{"variable":"x"}]}}]}}]}}`,
		`{"expression":{"operator":"gt","operands":[{"expression":{"operator":"mult","operands":[{"expression":{"operator":"size","operands":[{"variable":"request.resource.attr.tags"}]}},{"value":2}]}},{"value":3}]}}`,
		`{"expression":{"operator":"in","operands":[{"value":"lead"},{"expression":{"operator":"index","operands":[{"value":{"a":["lead"]}},{"variable":"request.resource.attr.title"}]}}]}}`,
		`{"expression":{"operator":"in","operands":[{"value":"a"},{"expression":{"operator":"map","operands":[{"expression":{"operator":"filter","operands":[{"variable":"request.resource.attr.tags"},{"expression":{"operator":"lambda","operands":[{"expression":{"operator":"ne","operands":[{"variable":"x"},{"value":"a"}]}},{"variable":"x"}]}}]}},{"expression":{"operator":"lambda","operands":[{"expression":{"operator":"add","operands":[{"variable":"y"},{"value":"$1"}]}},{"variable":"y"}]}}]}}]}}`,
		`{"expression":{"operator":"if","operands":[{"variable":"request.resource.attr.done"},{"expression":{"operator":"isSubset","operands":[{"value":[]},{"variable":"request.resource.attr.teams"}]}},{"expression":{"operator":"lt","operands":[{"expression":{"operator":"add","operands":[{"expression":{"operator":"timestamp","operands":[{"variable":"request.resource.attr.at"}]}},{"expression":{"operator":"duration","operands":[{"value":"1h"}]}}]}},{"expression":{"operator":"timestamp","operands":[{"value":"2026-01-02T03:04:05Z"}]}}]}}]}}`,
		`{"expression":{"operator":"endsWith","operands":[{"variable":"request.resource.attr.title"},{"value":"$9"}]}}`,
	} {
		f.Add(seed, 1)
	}
	f.Fuzz(func(t *testing.T, source string, first int) {
		var condition enginev1.PlanResourcesFilter_Expression_Operand
		if protojson.Unmarshal([]byte(source), &condition) != nil || first < 1 || first > 1000 {
			return
		}
		where, args, err := plan(t, &condition).SQL(cols, first)
		if err != nil {
			if where != "(FALSE)" || args != nil {
				t.Fatalf("beside %v stands %s %v", err, where, args)
			}
			return
		}
		used := map[int]bool{}
		for _, m := range placeholder.FindAllStringSubmatch(where, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil || n < first || n >= first+len(args) {
				t.Fatalf("%s names $%s of %d arguments from $%d on", where, m[1], len(args), first)
			}
			used[n] = true
		}
		if len(used) != len(args) || strings.Count(where, "$") != len(placeholder.FindAllString(where, -1)) {
			t.Fatalf("%s uses %d of %d arguments", where, len(used), len(args))
		}
		if strings.ContainsAny(where, ";\\") || strings.Contains(where, "--") {
			t.Fatalf("%s holds more than the program wrote", where)
		}
		depth := 0
		for i, r := range where {
			switch r {
			case '(':
				depth++
			case ')':
				if depth--; depth == 0 && i != len(where)-1 {
					t.Fatalf("%s is not one expression", where)
				}
			}
		}
		if depth != 0 {
			t.Fatalf("%s is not balanced", where)
		}
	})
}
