package fault

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"encore.dev/beta/errs"
)

// Checks collects what is wrong with a request, so that one answer names every field.
// Encore enforces no required fields, so each request's Validate does it here.
type Checks []Field

// Add records a fault of one field.
func (c *Checks) Add(field, format string, args ...any) {
	*c = append(*c, Field{Field: field, Message: fmt.Sprintf(format, args...)})
}

// Text wants between 1 and most characters, not only blanks and no control characters.
func (c *Checks) Text(field, value string, most int) {
	switch {
	case strings.TrimSpace(value) == "":
		c.Add(field, "is required")
	case !utf8.ValidString(value) || strings.ContainsFunc(value, isControl):
		c.Add(field, "has characters that are not allowed")
	case utf8.RuneCountInString(value) > most:
		c.Add(field, "is longer than %d characters", most)
	}
}

// Filter wants value, if there is one, to be something that a row could hold.
func (c *Checks) Filter(field, value string, most int) {
	switch {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, isControl):
		c.Add(field, "has characters that are not allowed")
	case utf8.RuneCountInString(value) > most:
		c.Add(field, "is longer than %d characters", most)
	}
}

// OneOf wants value among the allowed ones.
func (c *Checks) OneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.Add(field, "must be one of %s", strings.Join(allowed, ", "))
	}
}

// Err is nil if nothing was wrong.
func (c Checks) Err() error {
	if len(c) == 0 {
		return nil
	}
	return &errs.Error{
		Code:    errs.InvalidArgument,
		Message: c[0].Field + " " + c[0].Message,
		Details: Details{Reason: ValidationFailed, Fields: c},
	}
}

func isControl(r rune) bool { return (r < 0x20 && r != '\n' && r != '\t') || r == 0x7f }
