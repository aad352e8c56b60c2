//go:build stockhost

package part

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASettingComesFromItsVariableOrAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("postgres://mounted\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PART_PLAIN", "plain")
	t.Setenv("PART_PLAIN_FILE", file)
	t.Setenv("PART_MOUNTED_FILE", file)
	t.Setenv("PART_EMPTY", "")
	for name, want := range map[string]struct {
		value string
		found bool
	}{"PART_PLAIN": {"plain", true}, "PART_MOUNTED": {"postgres://mounted", true}, "PART_EMPTY": {"", true}, "PART_ABSENT": {"", false}} {
		if value, found, err := Setting(name); value != want.value || found != want.found || err != nil {
			t.Errorf("%s: %q, %v, %v", name, value, found, err)
		}
	}
	t.Setenv("PART_LOST_FILE", file+"x")
	if _, _, err := Setting("PART_LOST"); err == nil || !strings.Contains(err.Error(), "PART_LOST_FILE") {
		t.Errorf("a file that is not there: %v", err)
	}
}
