package redact

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestWhatMustNotBeWrittenIsTakenOut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"no such user ada@acme.test here":                      "no such user [redacted] here",
		"header Bearer abcdefgh.ijkl was refused":              "header Bearer [redacted] was refused",
		"token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln":      "token [redacted]",
		"key tnt_0123456789abcdef and tnt_imp_xyz":             "key tnt_[redacted] and tnt_imp_[redacted]",
		"invitation tinv_AAAAabcd-ef_0":                        "invitation tinv_[redacted]",
		"dial postgres://app:hunter2@db:5432/x: refused":       "dial postgres://[redacted]@db:5432/x: refused",
		`Post "https://h.example/hook?sig=canary": EOF`:        `Post "https://h.example/hook?[redacted]": EOF`,
		`password=hunter2 host=db`:                             `password=[redacted] host=db`,
		`{"password": "hunter 2", "n": 1}`:                     `{"password": [redacted], "n": 1}`,
		"stripe sk_live_abcDEF123 refused":                     "stripe sk_live_[redacted] refused",
		"orgs: read: context deadline exceeded (after 250 ms)": "orgs: read: context deadline exceeded (after 250 ms)",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTheDatabaseRepeatsNobodysInput(t *testing.T) {
	t.Parallel()
	input := &pgconn.PgError{Severity: "ERROR", Code: "22P02", Message: `invalid input syntax for type uuid: "canary "quoted""`}
	if got := Error(fmt.Errorf("orgs: read: %w", input)); strings.Contains(got, "canary") || !strings.Contains(got, "22P02") {
		t.Errorf("got %q", got)
	}
	name := &pgconn.PgError{Severity: "ERROR", Code: "42703", Message: `column "titel" does not exist`}
	if got := Error(name); !strings.Contains(got, "titel") {
		t.Errorf("a name is gone: %q", got)
	}
	if got := Error(errors.New("plain")); got != "plain" {
		t.Errorf("got %q", got)
	}
}

func FuzzNoAddressIsLeft(f *testing.F) {
	f.Add("a", "b")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := Text(before + " ada.canary@acme.test " + after); strings.Contains(got, "ada.canary@acme.test") {
			t.Errorf("got %q", got)
		}
	})
}
