package audit

import (
	"encoding/csv"
	"net/http/httptest"
	"testing"

	"encore.app/audit/event"
	"encore.app/infra/platform/rowid"
)

// OWASP, CSV injection: no cell begins a formula, whoever wrote what is in it.
func TestNoCellOfACSVExportIsAFormula(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"":                    "",
		"plain":               "plain",
		"a=b":                 "a=b",
		"=1+1":                "'=1+1",
		"+1":                  "'+1",
		"-1":                  "'-1",
		"@SUM(A1)":            "'@SUM(A1)",
		"\t=1":                "'\t=1",
		"\r=1":                "'\r=1",
		"\n=1":                "'\n=1",
		"\uff1d1":             "'\uff1d1",
		"\uff20x":             "'\uff20x",
		`"=1`:                 `"=1`,
		"\u00fcber":           "\u00fcber",
		`=HYPERLINK("x","y")`: `'=HYPERLINK("x","y")`,
	} {
		e := newEvent(rowid.New())
		e.Resource = event.Resource{Kind: "setting", ID: cell}
		w, f := httptest.NewRecorder(), new(csvForm)
		for _, step := range []func() error{
			func() error { return f.begin(w) },
			func() error { return f.entry(entry{Event: e}) },
			f.end,
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		if got := rows[1][9]; got != want {
			t.Errorf("%q became %q, want %q", cell, got, want)
		}
	}
}
