package part

import (
	"os"
	"strings"
)

// Setting is the value of a variable, or what is in the file that VARIABLE_FILE names: that is how
// secrets are mounted. found is false if neither is set.
func Setting(variable string) (value string, found bool, err error) {
	if value, found = os.LookupEnv(variable); found {
		return value, true, nil
	}
	path, found := os.LookupEnv(variable + "_FILE")
	if !found {
		return "", false, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", true, &Error{Part: "Settings", Variable: variable + "_FILE", Problem: "names a file that cannot be read"}
	}
	return strings.TrimRight(string(text), "\r\n"), true, nil
}
