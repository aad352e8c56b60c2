package server

import (
	"fmt"
	"net/http"
	"reflect"

	encore "encore.dev"
	"encore.dev/internal/registry"
)

// target is an endpoint with everything about it that can be worked out beforehand.
type target struct {
	*registry.Endpoint
	desc    encore.APIDesc
	chain   []*registry.Middleware
	parsers []func(string) (any, error)
	inQuery *decoder // for methods that have no body
	inBody  *decoder // for methods that have one
	encoder *encoder // nil if the endpoint has no response
	observe *observers

	// own is set for what the host itself serves; the rest is empty then.
	own http.Handler
}

func (s *Server) newTarget(e *registry.Endpoint) (*target, error) {
	t := &target{Endpoint: e, observe: s.metrics.of(e.Service, e.Name)}
	t.desc = encore.APIDesc{
		Raw: e.Raw, Tags: e.Tags,
		Exposed: e.Access != registry.Private, AuthRequired: e.Access == registry.Auth,
		RequestType: pointerTo(e.Request), ResponseType: pointerTo(e.Response),
	}
	for _, m := range s.registry.MiddlewareFor(e) {
		if !m.Global || !s.skipGlobal {
			t.chain = append(t.chain, m)
		}
	}
	for _, p := range e.Params {
		parser, err := pathParser(p.Kind)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", e.Service, e.Name, err)
		}
		t.parsers = append(t.parsers, parser)
	}
	if e.Raw {
		return t, nil
	}
	if err := t.planRequest(); err != nil {
		return nil, fmt.Errorf("%s.%s: %w", e.Service, e.Name, err)
	}
	var err error
	t.encoder, err = newEncoder(e.Response)
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", e.Service, e.Name, err)
	}
	return t, nil
}

// planRequest plans the decoding for the kinds of method that the endpoint has.
func (t *target) planRequest() (err error) {
	for _, method := range t.Methods {
		if (method == anyMethod || !hasBody(method)) && t.inQuery == nil {
			if t.inQuery, err = newDecoder(t.Request, false); err != nil {
				return err
			}
		}
		if hasBody(method) && t.inBody == nil {
			if t.inBody, err = newDecoder(t.Request, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func pointerTo(t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	return reflect.PointerTo(t)
}

// decoderFor gives the decoder of a method; nil if the endpoint takes no request.
func (t *target) decoderFor(method string) *decoder {
	if hasBody(method) {
		return t.inBody
	}
	return t.inQuery
}

// parsePath reads the path parameters to their kinds.
func (t *target) parsePath(values []string) ([]any, error) {
	if len(t.parsers) == 0 {
		return nil, nil
	}
	path := make([]any, len(t.parsers))
	for i, parser := range t.parsers {
		v, err := parser(values[i])
		if err != nil {
			return nil, invalid(fieldProblem{t.Params[i].Name, err.Error()})
		}
		path[i] = v
	}
	return path, nil
}
