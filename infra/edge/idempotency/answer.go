package idempotency

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
)

// Answer is what an endpoint said: a payload or an error.
type Answer struct {
	Payload any
	Err     *errs.Error
	Status  int // of the middleware's response; 0 is the endpoint's own
}

// wire is an Answer at rest.
type wire struct {
	Status  int                        `json:"status,omitempty"`
	Payload json.RawMessage            `json:"payload,omitempty"`
	Hidden  map[string]json.RawMessage `json:"hidden,omitempty"` // fields that are not of the body: status, headers
	Failure *failure                   `json:"failure,omitempty"`
}

type failure struct {
	Code    int           `json:"code"`
	Message string        `json:"message"`
	Details fault.Details `json:"details"`
}

// Keepable says whether a retry should get this answer rather than another try: not if the caller was
// turned away, and not if the fault was ours.
func (a Answer) Keepable() bool {
	if a.Err == nil {
		return true
	}
	switch status := fault.Status(a.Err); status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests, 499:
		return false
	default:
		return status < http.StatusInternalServerError
	}
}

// Encode is a for keeping.
func (a Answer) Encode() ([]byte, error) {
	w := wire{Status: a.Status}
	if a.Err != nil {
		details, _ := a.Err.Details.(fault.Details)
		w.Failure = &failure{Code: int(a.Err.Code), Message: a.Err.Message, Details: details}
		w.Status = fault.Status(a.Err)
	} else if a.Payload != nil {
		var err error
		if w.Payload, err = json.Marshal(a.Payload); err != nil {
			return nil, fmt.Errorf("idempotency: answer: %w", err)
		}
		if w.Hidden, err = hiddenFields(a.Payload); err != nil {
			return nil, err
		}
	}
	return json.Marshal(w)
}

// Decode is a kept answer of an endpoint that answers with t, which may be nil.
func Decode(kept []byte, t reflect.Type) (Answer, error) {
	var w wire
	if err := json.Unmarshal(kept, &w); err != nil {
		return Answer{}, fmt.Errorf("idempotency: kept answer: %w", err)
	}
	if f := w.Failure; f != nil {
		e := &errs.Error{Code: errs.ErrCode(f.Code), Message: f.Message, Details: f.Details}
		return Answer{Err: fault.WithStatus(e, w.Status), Status: w.Status}, nil
	}
	if t == nil || len(w.Payload) == 0 {
		return Answer{Status: w.Status}, nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v := reflect.New(t)
	if err := json.Unmarshal(w.Payload, v.Interface()); err != nil {
		return Answer{}, fmt.Errorf("idempotency: kept answer: %w", err)
	}
	for name, text := range w.Hidden {
		field := v.Elem().FieldByName(name)
		if !field.IsValid() {
			return Answer{}, errors.New("idempotency: kept answer is of another version of the endpoint")
		}
		if err := json.Unmarshal(text, field.Addr().Interface()); err != nil {
			return Answer{}, fmt.Errorf("idempotency: kept answer: %w", err)
		}
	}
	return Answer{Payload: v.Interface(), Status: w.Status}, nil
}

// hiddenFields are those that encoding/json leaves out on purpose.
func hiddenFields(payload any) (map[string]json.RawMessage, error) {
	v := reflect.Indirect(reflect.ValueOf(payload))
	if v.Kind() != reflect.Struct {
		return nil, nil
	}
	out := map[string]json.RawMessage{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Tag.Get("json") != "-" {
			continue
		}
		text, err := json.Marshal(v.Field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("idempotency: answer: %w", err)
		}
		out[f.Name] = text
	}
	return out, nil
}
