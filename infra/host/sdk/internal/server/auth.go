package server

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
)

// authenticator finds out who is calling.
type authenticator struct {
	*registry.AuthHandler
	bearer bool     // the handler takes the token of the Authorization header
	params *decoder // otherwise: how its parameters are read
	// challenge says that the Authorization header is what a caller without credentials lacks.
	challenge bool
}

func newAuthenticator(h *registry.AuthHandler) (*authenticator, error) {
	a := &authenticator{AuthHandler: h, bearer: h.Params == nil, challenge: h.Params == nil}
	if a.bearer {
		return a, nil
	}
	t := h.Params
	a.params = &decoder{typ: t, validates: reflect.PointerTo(t).Implements(validatorType)}
	for i := range t.NumField() {
		f := t.Field(i)
		from, name, ok := placeAuthField(f)
		if !ok {
			return nil, fmt.Errorf("%s.%s: %s needs a header, query or cookie tag", h.Service, h.Name, f.Name)
		}
		text, err := newTextField(i, name, from, f.Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %s: %w", h.Service, h.Name, f.Name, err)
		}
		a.challenge = a.challenge || (from == fromHeader && name == "Authorization")
		a.params.texts = append(a.params.texts, text)
		a.params.query = a.params.query || from == fromQuery
	}
	return a, nil
}

func placeAuthField(f reflect.StructField) (from source, name string, ok bool) {
	if name, ok, _ = tagName(f.Tag, "header"); ok {
		return fromHeader, http.CanonicalHeaderKey(name), true
	}
	if name, ok, _ = tagName(f.Tag, "cookie"); ok {
		return fromCookie, name, true
	}
	name, ok, _ = tagName(f.Tag, "query", "qs")
	return fromQuery, name, ok
}

// authenticate finds the caller and says whether the endpoint is open to it. Credentials that are
// not accepted make a caller nobody, any other error of the auth handler ends the request.
func (s *Server) authenticate(ctx context.Context, r *http.Request, c *call, t *target) error {
	refusal := error(errNoCaller)
	if s.auth != nil {
		err := s.auth.identify(ctx, r, c)
		switch {
		case err == nil && c.caller.UID != "":
			c.scope.SetCaller(&c.caller)
			return nil
		case err == nil: // no credentials
		case errs.Code(err) == errs.Unauthenticated:
			refusal = err
		default:
			return err
		}
	}
	if t.Access == registry.Auth {
		return refusal
	}
	return nil
}

// identify calls the auth handler if the request has credentials, and sets c's caller if it accepts them.
func (a *authenticator) identify(ctx context.Context, r *http.Request, c *call) error {
	params, err := a.credentials(r)
	if err != nil || params == nil {
		return err
	}
	uid, data, err := a.Call(ctx, params)
	if err != nil {
		return err
	}
	if uid == "" {
		return errNoCaller
	}
	c.caller = scope.Caller{UID: string(uid), Data: data}
	return nil
}

// credentials gives what the auth handler takes; nil if the request has none.
func (a *authenticator) credentials(r *http.Request) (any, error) {
	if a.bearer {
		token, err := bearerToken(r.Header["Authorization"])
		if token == "" || err != nil {
			return nil, err
		}
		return token, nil
	}
	ptr := reflect.New(a.params.typ)
	given, err := a.params.decodeTexts(r, ptr.Elem())
	if err != nil || !given {
		return nil, err
	}
	return ptr.Interface(), a.params.check(ptr.Interface())
}

// bearerToken gives the token of the Authorization header; "" if there is no header.
func bearerToken(values []string) (string, error) {
	if len(values) == 0 || (len(values) == 1 && values[0] == "") {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || token == "" || (!strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Token")) {
		return "", errNoCaller
	}
	return token, nil
}
