package setting

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// mostInList is how long each string of a list may be.
const mostInList = 200

// Parse checks a value and gives it its one form. Its errors can be shown, and do not repeat the
// value, which may be secret.
func (s *Setting) Parse(raw []byte) (json.RawMessage, error) {
	value, err := s.parse(raw)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, errors.New("is not JSON")
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func (s *Setting) parse(raw []byte) (any, error) {
	switch s.Type {
	case Boolean:
		return decode[bool](raw, "true or false")
	case Integer:
		n, err := decode[int64](raw, "a whole number")
		if err == nil && (n < s.Min || n > s.Max) {
			err = fmt.Errorf("must be from %d to %d", s.Min, s.Max)
		}
		return n, err
	case StringList:
		return s.parseList(raw)
	}
	text, err := decode[string](raw, "a string")
	if err != nil {
		return nil, err
	}
	switch s.Type {
	case Enum:
		if !slices.Contains(s.Options, text) {
			return nil, fmt.Errorf("must be one of %s", strings.Join(s.Options, ", "))
		}
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, errors.New("must be a duration such as 90m or 168h")
		}
		if least, most := seconds(s.Min), seconds(s.Max); d < least || d > most {
			return nil, fmt.Errorf("must be from %s to %s", least, most)
		}
	default:
		if n := int64(utf8.RuneCountInString(text)); n < s.Min || n > s.Max {
			return nil, fmt.Errorf("must have from %d to %d characters", s.Min, s.Max)
		}
		return text, s.plain(text)
	}
	return text, nil
}

func (s *Setting) parseList(raw []byte) ([]string, error) {
	list, err := decode[[]string](raw, "an array of strings")
	if err != nil {
		return nil, err
	}
	if n := int64(len(list)); n < s.Min || n > s.Max {
		return nil, fmt.Errorf("must have from %d to %d entries", s.Min, s.Max)
	}
	for i, text := range list {
		switch {
		case text == "" || utf8.RuneCountInString(text) > mostInList:
			return nil, fmt.Errorf("entries must have from 1 to %d characters", mostInList)
		case slices.Contains(list[:i], text):
			return nil, errors.New("has the same entry twice")
		}
		if err := s.plain(text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// plain wants text that a row can hold and that fits the pattern, if there is one.
func (s *Setting) plain(text string) error {
	if strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsRune(text, utf8.RuneError) {
		return errors.New("has characters that are not allowed")
	}
	if s.Pattern != nil && text != "" && !s.Pattern.MatchString(text) {
		return fmt.Errorf("must be %s", s.Format)
	}
	return nil
}

// decode wants exactly one JSON value of type T; null is none.
func decode[T any](raw []byte, what string) (T, error) {
	var v *T
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&v); err != nil || v == nil {
		var none T
		return none, errors.New("must be " + what)
	}
	if _, err := dec.Token(); err != io.EOF {
		return *v, errors.New("must be " + what)
	}
	return *v, nil
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// Text is the value of a String or an Enum.
func (r Resolved) Text() string { return as[string](r) }

// Strings are the values of a StringList.
func (r Resolved) Strings() []string { return as[[]string](r) }

// Bool is the value of a Boolean.
func (r Resolved) Bool() bool { return as[bool](r) }

// Int is the value of an Integer.
func (r Resolved) Int() int { return as[int](r) }

// Duration is the value of a Duration.
func (r Resolved) Duration() time.Duration {
	d, err := time.ParseDuration(r.Text())
	if err != nil {
		panic(fmt.Sprintf("setting: not a duration: %v", err)) // Parse let only durations through
	}
	return d
}

// as reads a resolved value; asking one setting for another type's value is a bug of the caller.
func as[T any](r Resolved) T {
	var v T
	if err := json.Unmarshal(r.Value, &v); err != nil {
		panic(fmt.Sprintf("setting: value of another type: %v", err))
	}
	return v
}
