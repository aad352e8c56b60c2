package server

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/go-json-experiment/json" // the standard library's encoding/json/v2 from Go 1.27 on
	"github.com/go-json-experiment/json/jsontext"

	"encore.dev/beta/errs"
)

// maxDepth is how deep objects and lists may nest.
const maxDepth = 64

// keepBuffer is the largest buffer that goes back to the pool.
const keepBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func getBuffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= keepBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// strict refuses what encoding/json lets pass: unknown and repeated names, bytes that are not
// UTF-8, anything after the value. Names match in any case, as Encore's decoder has it.
var strict = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.MatchCaseInsensitiveNames(true),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false),
)

// unmarshalStrict reads a JSON object into the struct that dst points to.
func unmarshalStrict(data []byte, dst any) error {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return invalid(fieldProblem{"body", "is missing"})
	case trimmed[0] != '{':
		return invalid(fieldProblem{"body", "must be a JSON object"})
	case deeperThan(trimmed, maxDepth):
		return invalid(fieldProblem{"body", "nests too deep"})
	}
	if err := json.Unmarshal(data, dst, strict); err != nil {
		return invalid(bodyProblem(err))
	}
	return nil
}

// bodyProblem names the field that an error is about, and says nothing of Go.
func bodyProblem(err error) fieldProblem {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fieldProblem{pointerName(syntax.JSONPointer), "is given twice"}
		}
		return fieldProblem{pointerName(syntax.JSONPointer), "is not well-formed JSON"}
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return fieldProblem{"body", "is not valid"}
	}
	p := fieldProblem{Field: pointerName(semantic.JSONPointer), Message: "has the wrong type"}
	if errors.Is(err, json.ErrUnknownName) {
		p.Message = "is not a known field"
	} else if t := semantic.GoType; t != nil {
		p.Message = "must be " + expected(t)
	}
	return p
}

// pointerName turns /a/0/b into a.0.b.
func pointerName(p jsontext.Pointer) string {
	var names []string
	for token := range p.Tokens() {
		names = append(names, token)
	}
	if len(names) == 0 {
		return "body"
	}
	return strings.Join(names, ".")
}

// deeperThan says whether objects and lists nest deeper than limit.
func deeperThan(data []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// bodyError tells a body that is too large from one that did not come.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	return &errs.Error{
		Code: errs.InvalidArgument, Message: "the request body could not be read",
		Details: &problem{Reason: reasonInvalid, Fields: []fieldProblem{{"body", "did not arrive in full"}}},
	}
}
