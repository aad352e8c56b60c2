package registry

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"encore.dev/internal/part"
)

// missingSecret is a secret that the environment should give and does not.
type missingSecret struct{ pkg, field, why string }

// LoadSecrets fills the string fields of the struct that ptr points to. A field is taken from the
// environment variable of its name, or from the file that NAME_FILE names; a field in mixed case
// also answers to its UPPER_SNAKE name. What is missing stays empty and is remembered, unless it is
// optional; a file that is named has to be there in any case.
func (r *Registry) LoadSecrets(pkg string, ptr any, optional ...string) {
	v := reflect.ValueOf(ptr).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		value, why := lookupSecret(name)
		v.Field(i).SetString(value)
		if why == "" && value == "" && !slices.Contains(optional, name) {
			why = "not set"
		}
		if why != "" {
			r.mu.Lock()
			r.secrets = append(r.secrets, missingSecret{pkg, name, why})
			r.mu.Unlock()
		}
	}
}

// lookupSecret gives the value, or why it cannot be read.
func lookupSecret(field string) (value, why string) {
	names := []string{field}
	if snake := upperSnake(field); snake != field {
		names = append(names, snake)
	}
	for _, name := range names {
		switch v, found, err := part.Setting(name); {
		case err != nil:
			return "", name + "_FILE names a file that cannot be read"
		case found:
			return v, ""
		}
	}
	return "", ""
}

// MissingSecrets lists the secrets that the environment should give and does not, one line each.
func (r *Registry) MissingSecrets() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var lines []string
	for _, s := range r.secrets {
		lines = append(lines, fmt.Sprintf("%s (used by %s): %s", upperSnake(s.field), s.pkg, s.why))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// upperSnake turns StripeKey and HTTPKey2 into STRIPE_KEY and HTTP_KEY2.
func upperSnake(name string) string { return strings.ToUpper(Snake(name)) }

// Snake turns OrgID into org_id: the name that a Go name has outside Go unless a tag gives another.
func Snake(name string) string {
	rs := []rune(name)
	var b strings.Builder
	for i, r := range rs {
		if i > 0 && unicode.IsUpper(r) && rs[i-1] != '_' &&
			(!unicode.IsUpper(rs[i-1]) || (i+1 < len(rs) && unicode.IsLower(rs[i+1]))) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
