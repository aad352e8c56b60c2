package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// items are those of OWASP ASVS 5.0 and of the API Security Top 10 that the app answers to.
const items = `API1 API2 API3 API4 API5 API6 API7 API8 API9 API10
8.2.1 8.2.2 8.2.3 8.2.4 8.3.2 8.3.3 8.4.1 8.4.2 15.3.1 15.3.2 15.3.3 15.3.4 9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4
10.3.1 10.3.3 10.3.4 7.4.1 7.4.2 7.4.5 7.5.1 7.5.3 2.3.1 2.3.3 2.3.4 2.3.5 2.4.1 13.2.4 13.4.2 13.4.5 4.1.1 4.1.3
14.2.1 14.2.7 14.3.2 16.2.5 16.3.1 16.3.2 16.3.3 16.4.1 16.4.2 16.4.3 16.5.1 16.5.2 16.5.3 15.1.2 15.2.4 15.4.1 15.4.2`

var namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z0-9_]+)`")

// Each item has a row in docs/security.md, and each test that a row names is there.
func TestEverySecurityItemHasItsTests(t *testing.T) {
	t.Parallel()
	rows := map[string][]string{} // item → tests
	for _, line := range tableOf(t, "security.md") {
		cells := strings.Split(line, "|")
		tests := testsNamed(t, line)
		if len(cells) != 6 || len(tests) == 0 || strings.TrimSpace(cells[4]) == "" {
			t.Errorf("a row without tests or result: %s", line)
			continue
		}
		for item := range strings.SplitSeq(cells[1], ",") {
			rows[strings.TrimSpace(item)] = tests
		}
	}
	for _, item := range strings.Fields(items) {
		t.Run(strings.ReplaceAll("ASVS "+item, "ASVS API", "API"), func(t *testing.T) {
			if len(rows[item]) == 0 {
				t.Error("no row of docs/security.md is about it")
			}
			for _, test := range rows[item] {
				thereIs(t, test)
			}
		})
	}
}

func TestEveryThreatHasItsTest(t *testing.T) {
	t.Parallel()
	for _, line := range tableOf(t, "threat-model.md") {
		tests := testsNamed(t, line)
		if len(tests) == 0 {
			t.Errorf("a threat without a test: %s", line)
		}
		for _, test := range tests {
			thereIs(t, test)
		}
	}
}

// tableOf is the body of the table of a page.
func tableOf(t *testing.T, page string) (rows []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "|") {
			rows = append(rows, line)
		}
	}
	if len(rows) < 10 {
		t.Fatalf("%s has no table", page)
	}
	return rows[2:]
}

func testsNamed(t *testing.T, line string) (tests []string) {
	t.Helper()
	for _, m := range namedTest.FindAllStringSubmatch(line, -1) {
		tests = append(tests, m[1]+"."+m[2])
	}
	if n := strings.Count(line, "Test"); n != len(tests) {
		t.Errorf("%d tests are named as they should be, of %d: %s", len(tests), n, line)
	}
	return tests
}

// thereIs fails unless the package has the test.
func thereIs(t *testing.T, test string) {
	t.Helper()
	dir, name, _ := strings.Cut(test, ".")
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return
		}
	}
	t.Errorf("there is no %s", test)
}

// The modules are the ones that their sums are of, from where their names say.
func TestASVS_15_2_4_ModulesAreWhatTheirSumsSay(t *testing.T) {
	t.Parallel()
	local := regexp.MustCompile(`(?m)^\s*(?:replace\s+)?\S+(?: v\S+)? => (\S+)`)
	required := regexp.MustCompile(`(?m)^\s*(?:require\s+)?([a-z0-9.-]+\.[a-z]+/\S+|encore\.dev|[a-z0-9.-]+\.[a-z]{2,}) (v\S+)`)
	for _, dir := range []string{"../..", "../host", "../host/sdk"} {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range local.FindAllStringSubmatch(string(mod), -1) {
			if !strings.HasPrefix(m[1], ".") {
				t.Errorf("%s/go.mod replaces a module by %s", dir, m[1])
			}
		}
		modules := required.FindAllStringSubmatch(string(mod), -1)
		if len(modules) < 5 {
			t.Errorf("%s/go.mod was not read", dir)
		}
		for _, m := range modules {
			if !strings.Contains(string(sum), m[1]+" "+m[2]) {
				t.Errorf("%s: %s %s has no sum", dir, m[1], m[2])
			}
		}
	}
}
