package filter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"encore.app/authz/filter"
	"github.com/jackc/pgx/v5"
)

var uuids = []string{
	"00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-0000000000ff",
}

// sampleColumns has every type of column and every convention of NULL.
var sampleColumns = map[string]filter.Column{
	filter.ResourceID: {SQL: "id", Type: filter.UUID},
	"name":            {SQL: "name", Type: filter.Text},
	"title":           {SQL: "title", Type: filter.Text, Null: filter.NullIsMissing},
	"note":            {SQL: "note", Type: filter.Text, Null: filter.NullIsNull},
	"label":           {SQL: "label", Type: filter.Text, Null: filter.NullIsZero},
	"owner":           {SQL: "owner", Type: filter.UUID},
	"team":            {SQL: "team", Type: filter.UUID, Null: filter.NullIsZero},
	"lent":            {SQL: "lent", Type: filter.UUID, Null: filter.NullIsMissing},
	"pii":             {SQL: "pii", Type: filter.Bool},
	"done":            {SQL: "done", Type: filter.Bool, Null: filter.NullIsMissing},
	"flag":            {SQL: "flag", Type: filter.Bool, Null: filter.NullIsNull},
	"open":            {SQL: "open", Type: filter.Bool, Null: filter.NullIsZero},
	"size":            {SQL: "size", Type: filter.Number},
	"weight":          {SQL: "weight", Type: filter.Number, Null: filter.NullIsMissing},
	"rank":            {SQL: "rank", Type: filter.Number, Null: filter.NullIsZero},
	"price":           {SQL: "price", Type: filter.Number, Null: filter.NullIsNull},
	"tags":            {SQL: "tags", Type: filter.TextArray},
	"marks":           {SQL: "marks", Type: filter.TextArray, Null: filter.NullIsMissing},
	"teams":           {SQL: "teams", Type: filter.UUIDArray, Null: filter.NullIsZero},
	"sizes":           {SQL: "sizes", Type: filter.NumberArray, Null: filter.NullIsMissing},
	"made":            {SQL: "made", Type: filter.Time},
	"due":             {SQL: "due", Type: filter.Time, Null: filter.NullIsMissing},
}

const probeTable = `CREATE TEMP TABLE probe (n int, id uuid, name text, title text, note text, label text, owner uuid, team uuid, lent uuid,
	pii bool, done bool, flag bool, open bool, size int, weight float8, rank float8, price float8,
	tags text[], marks text[], teams uuid[], sizes float8[], made timestamptz, due timestamptz)`

// rowsEach are the rows of a round; each is a resource of one request.
const rowsEach = 50

type drawer struct{ *rand.Rand }

func pick[T any](d *drawer, from ...T) T { return from[d.IntN(len(from))] }

// The values are few, so that they meet.
func (d *drawer) text() string {
	return pick(d, "a", "b", "ab", "A", "", "%_", `\`, "é", "bb", uuids[0])
}
func (d *drawer) number() float64   { return pick(d, -1, 0, 0.5, 1, 2, 2.5, 3) }
func (d *drawer) moment() time.Time { return moments[d.IntN(len(moments))] }

var moments = []time.Time{
	time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 12, 31, 23, 30, 0, 0, time.UTC), time.Date(2026, 6, 15, 12, 0, 0, 123456000, time.UTC),
}

func some[T any](d *drawer, one func() T) []T {
	out := make([]T, d.IntN(4))
	for i := range out {
		out[i] = one()
	}
	return out
}

// rows fills the table, and gives the attributes that each row stands for.
func (d *drawer) rows(t *testing.T, db *pgx.Conn) []map[string]any {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := db.Exec(ctx, "DROP TABLE IF EXISTS probe"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(ctx, probeTable); err != nil {
		t.Fatal(err)
	}
	id := func() string { return pick(d, uuids...) }
	draw := map[filter.Type]func() any{
		filter.Text: func() any { return d.text() }, filter.UUID: func() any { return id() }, filter.Bool: func() any { return d.IntN(2) == 0 },
		filter.Number: func() any { return d.number() }, filter.TextArray: func() any { return some(d, d.text) }, filter.UUIDArray: func() any { return some(d, id) },
		filter.NumberArray: func() any { return some(d, d.number) }, filter.Time: func() any { return d.moment() },
	}
	out := make([]map[string]any, rowsEach)
	for n := range out {
		names, places, args, attr := []string{"n", "id"}, []string{"$1", "$2"}, []any{n, uuids[n%len(uuids)]}, map[string]any{}
		for name, col := range sampleColumns {
			if name == filter.ResourceID {
				continue
			}
			v := draw[col.Type]()
			if name == "size" {
				v = float64(d.IntN(4) - 1)
			}
			if col.Null != filter.NotNull && d.IntN(3) == 0 {
				v = nil
			}
			names, args = append(names, name), append(args, v)
			places = append(places, fmt.Sprintf("$%d", len(args)))
			if v != nil || col.Null != filter.NullIsMissing {
				attr[name] = seen(col, v)
			}
		}
		sql := "INSERT INTO probe (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
		if _, err := db.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
		out[n] = attr
	}
	return out
}

// seen is a value as the policies see it.
func seen(col filter.Column, v any) any {
	switch v := v.(type) {
	case nil:
		if col.Null == filter.NullIsZero {
			return map[filter.Type]any{filter.Text: "", filter.UUID: "", filter.Bool: false, filter.Number: 0.0, filter.UUIDArray: []any{}}[col.Type]
		}
		return nil
	case []string:
		return anys(v)
	case []float64:
		return anys(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return v
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func (d *drawer) condition(depth int) string {
	if depth > 0 && d.IntN(2) == 0 {
		a, b := d.condition(depth-1), d.condition(depth-1)
		switch d.IntN(7) {
		case 0, 1:
			return "(" + a + " && " + b + ")"
		case 2, 3:
			return "(" + a + " || " + b + ")"
		case 4, 5:
			return "!(" + a + ")"
		}
		return "(" + a + " ? " + b + " : " + d.condition(depth-1) + ")"
	}
	equal, order := pick(d, "==", "!="), pick(d, "<", "<=", ">", ">=")
	switch d.IntN(15) {
	case 0:
		return pick(d, "R.attr.pii", "R.attr.done", "R.attr.flag", "R.attr.open", "R.attr.flag == true", "R.attr.done != false")
	case 1:
		return d.texts("", 1) + " " + pick(d, equal, order) + " " + d.texts("", 1)
	case 2:
		return "R.attr." + pick(d, "note", "title", "label", "flag", "price", "name") + " " + equal + " " + pick(d, "null", "R.attr.note")
	case 3:
		return d.texts("", 1) + " in " + pick(d, d.list("", 1), `["a", "b", ""]`, "P.attr.names", "P.attr.teams", "[]", "[R.attr.name, R.attr.title]")
	case 4:
		return d.texts("", 1) + pick(d, ".startsWith(", ".endsWith(", ".contains(") + d.texts("", 1) + ")"
	case 5:
		return d.numbers() + " " + pick(d, equal, order) + " " + d.numbers()
	case 6:
		return "R.attr." + pick(d, "size", "weight", "rank") + " in " + pick(d, "[1.0, 2.5]", "R.attr.sizes", "[0.0]")
	case 7:
		return d.counts() + " " + pick(d, equal, order) + " " + d.counts()
	case 8:
		return d.moments() + " " + pick(d, equal, order) + " " + d.moments()
	case 9:
		return "(" + d.moments() + " - " + d.moments() + ") " + order + ` duration("` + pick(d, "1h", "0s", "-24h") + `")`
	case 10:
		return d.list("", 1) + pick(d, ".exists(x, ", ".all(x, ", ".exists_one(x, ") + d.ofElement("x") + ")"
	case 11:
		return d.list("", 1) + " " + equal + " " + pick(d, `["a"]`, "[]", d.list("", 1))
	case 12:
		return pick(d, "hasIntersection(", "isSubset(") + d.list("", 1) + ", " + pick(d, `["a", "b"]`, d.list("", 1)) + ")"
	case 13:
		return pick(d, `"lead" in P.attr.roles[R.attr.`+pick(d, "owner", "team", "lent", "title", "label")+"]", `P.attr.homes[R.attr.`+pick(d, "name", "title", "label")+`].role == "OWNER"`)
	}
	return "R.id " + pick(d, equal+" P.id", "in P.attr.teams", equal+" R.attr.owner")
}

// texts is a text, maybe of an element of that name.
func (d *drawer) texts(element string, depth int) string {
	if element != "" && d.IntN(2) == 0 {
		return element
	}
	switch d.IntN(9 + 2*min(depth, 1)) {
	case 0, 1, 2:
		return fmt.Sprintf("%q", d.text())
	case 3:
		return "P.id"
	case 9:
		return "(" + d.texts(element, depth-1) + " + " + d.texts(element, depth-1) + ")"
	case 10:
		return pick(d, d.texts(element, depth-1)+pick(d, ".lowerAscii()", ".upperAscii()"), "(R.attr.done ? "+d.texts(element, depth-1)+" : "+d.texts(element, depth-1)+")", "R.attr.tags[1]")
	}
	return "R.attr." + pick(d, "name", "title", "label", "owner", "team", "lent", "note")
}

// numbers are doubles, as every attribute is.
func (d *drawer) numbers() string {
	attr := func() string { return "R.attr." + pick(d, "size", "weight", "rank", "price") }
	switch d.IntN(6) {
	case 0:
		return fmt.Sprintf("double(%v)", pick(d, "0.0", "2.0", "2.5", "P.attr.level"))
	case 1:
		return "(" + attr() + pick(d, " + ", " - ", " * ") + pick(d, attr(), "0.5") + ")"
	case 2:
		return pick(d, "-"+attr(), "("+attr()+" / 0.5)", "double("+attr()+")")
	}
	return attr()
}

// counts are ints.
func (d *drawer) counts() string {
	switch d.IntN(6) {
	case 0:
		return pick(d, "0", "1", "2")
	case 1:
		return "(size(" + d.list("", 0) + ")" + pick(d, " + 1", " % 2", " / 2", " - size(R.attr.tags)") + ")"
	case 2:
		return "timestamp(R.attr." + pick(d, "made", "due") + ")" + pick(d, ".getMonth()", ".getHours()", ".getDayOfWeek()", ".getDayOfYear()", ".getDate()", ".getDayOfMonth()", ".getMinutes()")
	case 3:
		return "int(R.attr." + pick(d, "size", "weight") + ")"
	case 4:
		return "size(" + d.texts("", 0) + ")"
	}
	return "size(" + d.list("", 1) + ")"
}

func (d *drawer) moments() string {
	switch d.IntN(4) {
	case 0:
		return fmt.Sprintf("timestamp(%q)", d.moment().Format(time.RFC3339Nano))
	case 1:
		return "(timestamp(R.attr." + pick(d, "made", "due") + ")" + pick(d, " + ", " - ") + `duration("` + pick(d, "30m", "24h") + `"))`
	}
	return "timestamp(R.attr." + pick(d, "made", "due") + ")"
}

// list is one of texts.
func (d *drawer) list(element string, depth int) string {
	if depth > 0 && d.IntN(2) == 0 {
		of := d.list(element, depth-1)
		switch d.IntN(5) {
		case 0:
			return of + ".filter(y, " + d.ofElement("y") + ")"
		case 1:
			return of + ".map(y, " + d.texts("y", 1) + ")"
		case 2:
			return pick(d, "except(", "intersect(") + of + ", " + pick(d, `["a"]`, d.list(element, depth-1)) + ")"
		case 3:
			return "(" + of + " + " + pick(d, `["a"]`, d.list(element, depth-1)) + ")"
		}
		return "P.attr.names"
	}
	return "R.attr." + pick(d, "tags", "marks", "teams")
}

func (d *drawer) ofElement(name string) string {
	switch d.IntN(5) {
	case 0:
		return name + pick(d, ".startsWith(", ".contains(") + d.texts("", 0) + ")"
	case 1:
		return name + " in " + pick(d, `["a", "b"]`, "R.attr.tags", "P.attr.names")
	case 2:
		return "(" + name + " == " + d.texts("", 0) + " || " + pick(d, "R.attr.pii", "R.attr.done", "R.attr.tags.exists(z, z == "+name+")", "!R.attr.flag") + ")"
	case 3:
		return "size(" + name + ") > 1"
	}
	return name + " " + pick(d, "==", "!=", "<") + " " + d.texts("", 0)
}
