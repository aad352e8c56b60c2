// Package fault is the one way an error leaves the app: a code for the transport, a stable reason
// that clients switch on, and a sentence for people.
//
// Whatever is not a fault is internal: its text is logged at the edge and never sent.
package fault

import (
	"context"
	"errors"
	"net/http"
	"time"

	"encore.dev/beta/errs"
)

// Reason is the machine word in details.reason. Clients switch on it; it never changes meaning.
type Reason string

// The reasons of the public API.
const (
	Unauthenticated       Reason = "unauthenticated"
	TokenExpired          Reason = "token_expired"
	TokenMalformed        Reason = "token_malformed"
	TokenType             Reason = "token_type"
	TokenRevoked          Reason = "token_revoked"
	BadSignature          Reason = "bad_signature"
	WrongIssuer           Reason = "wrong_issuer"
	WrongAudience         Reason = "wrong_audience"
	MFARequired           Reason = "mfa_required"
	NotAMember            Reason = "not_a_member"
	OrgSuspended          Reason = "org_suspended"
	PolicyDenied          Reason = "policy_denied"
	EmailUnverified       Reason = "email_unverified"
	UpgradeRequired       Reason = "upgrade_required"
	SettingLocked         Reason = "setting_locked"
	LegalHold             Reason = "legal_hold"
	ExportRequired        Reason = "export_required"
	EraseTooEarly         Reason = "erase_too_early"
	NotSuspended          Reason = "not_suspended"
	Erased                Reason = "erased"
	ImpersonationReadonly Reason = "impersonation_readonly"
	NotFoundReason        Reason = "not_found"
	ValidationFailed      Reason = "validation_failed"
	AlreadyExists         Reason = "already_exists"
	InUse                 Reason = "in_use"
	VersionConflict       Reason = "version_conflict"
	LastOwner             Reason = "last_owner"
	NotOneself            Reason = "not_oneself"
	SeatLimit             Reason = "seat_limit"
	QuotaExceeded         Reason = "quota_exceeded"
	RateLimited           Reason = "rate_limited"
	IdempotencyRequired   Reason = "idempotency_key_required"
	IdempotencyReused     Reason = "idempotency_key_reused"
	IdempotencyInProgress Reason = "idempotency_in_progress"
	PayloadTooLarge       Reason = "payload_too_large"
	DependencyUnavailable Reason = "dependency_unavailable"
	DeadlineExceeded      Reason = "deadline_exceeded"
	CanceledReason        Reason = "canceled"
	InternalReason        Reason = "internal"
)

// Details is what a client gets beside code and message.
type Details struct {
	Reason     Reason  `json:"reason"`
	RequestID  string  `json:"request_id,omitempty"`
	DecisionID string  `json:"decision_id,omitempty"`
	Part       string  `json:"part,omitempty"`
	Fields     []Field `json:"fields,omitempty"`
	RetryAfter int     `json:"retry_after,omitempty"` // seconds
}

// ErrDetails marks Details as sendable.
func (Details) ErrDetails() {}

// WithRequestID names the request, where nobody has yet. Errors that are made before any code of the
// app knows the request (a payload's Validate) are named through it as they leave.
func (d Details) WithRequestID(id string) errs.ErrDetails {
	if d.RequestID == "" {
		d.RequestID = id
	}
	return d
}

// RetryIn is when another try is worth it; 0 if nothing says so.
func (d Details) RetryIn() time.Duration { return time.Duration(d.RetryAfter) * time.Second }

// Field says what is wrong with one field of a request.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// New makes a fault. The message is sent to the caller: it must name nothing internal.
func New(code errs.ErrCode, reason Reason, message string) *errs.Error {
	return &errs.Error{Code: code, Message: message, Details: Details{Reason: reason}}
}

// NotFound is the answer for what does not exist and for what the caller may not know to exist.
func NotFound(what string) *errs.Error {
	return New(errs.NotFound, NotFoundReason, what+" not found")
}

// Refused is an authentication failure.
func Refused(reason Reason, message string) *errs.Error {
	return New(errs.Unauthenticated, reason, message)
}

// Denied is a decision against the caller, with the decision's id where a policy made it.
func Denied(reason Reason, decisionID string) *errs.Error {
	sentence, known := denials[reason]
	if !known { // of policies newer than this build
		sentence = denials[PolicyDenied]
	}
	return &errs.Error{
		Code:    errs.PermissionDenied,
		Message: sentence,
		Details: Details{Reason: reason, DecisionID: decisionID},
	}
}

var denials = map[Reason]string{
	WrongAudience:         "this token is for another audience",
	MFARequired:           "this needs a second factor",
	NotAMember:            "you are not a member of this organisation",
	OrgSuspended:          "the organisation is suspended",
	PolicyDenied:          "you may not do this",
	UpgradeRequired:       "the organisation's licence does not include this",
	ImpersonationReadonly: "not while impersonating",
}

// KeyReused refuses an idempotency key that came with another request before.
func KeyReused() *errs.Error {
	return WithStatus(New(errs.InvalidArgument, IdempotencyReused, "this Idempotency-Key was used for another request"),
		http.StatusUnprocessableEntity)
}

// Unavailable says that a part the request needs cannot be reached. The cause is logged, not sent.
func Unavailable(part string, cause error) *errs.Error {
	return &errs.Error{
		Code:    errs.Unavailable,
		Message: part + " is unavailable, try again",
		Details: Details{Reason: DependencyUnavailable, Part: part},
		Meta:    errs.Metadata{causeKey: cause},
	}
}

// Internal hides err from the caller and keeps it for the log. A request that was given up, or that
// ran out of time, is said to be just that.
func Internal(err error) *errs.Error {
	switch {
	case errors.Is(err, context.Canceled):
		return New(errs.Canceled, CanceledReason, "the request was given up")
	case errors.Is(err, context.DeadlineExceeded):
		return New(errs.DeadlineExceeded, DeadlineExceeded, "the request took too long")
	}
	return &errs.Error{
		Code:    errs.Internal,
		Message: "internal error",
		Details: Details{Reason: InternalReason},
		Meta:    errs.Metadata{causeKey: err},
	}
}

// WithStatus is e leaving with an HTTP status that its code does not have.
func WithStatus(e *errs.Error, status int) *errs.Error {
	out := *e
	out.Meta = errs.Metadata{statusKey: status}
	for k, v := range e.Meta {
		out.Meta[k] = v
	}
	return &out
}

// Status is the HTTP status that err leaves with.
func Status(err error) int {
	e := As(err)
	if e == nil {
		return http.StatusInternalServerError
	}
	if status, ok := e.Meta[statusKey].(int); ok {
		return status
	}
	return e.Code.HTTPStatus()
}

const (
	causeKey  = "cause"
	statusKey = "http_status"
)

// Cause is what a fault hides from the caller; nil if nothing.
func Cause(err error) error {
	if e := As(err); e != nil {
		if cause, ok := e.Meta[causeKey].(error); ok {
			return cause
		}
	}
	return nil
}

// As finds the fault in err's chain; nil if there is none.
func As(err error) *errs.Error {
	var e *errs.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// DetailsOf is err's details; the zero value if it has none.
func DetailsOf(err error) Details {
	if e := As(err); e != nil {
		if d, ok := e.Details.(Details); ok {
			return d
		}
	}
	return Details{}
}

// Finish makes err fit to leave: anything that is not a fault becomes Internal, and every fault
// gets a reason and the request's id. The result is a copy, because an error may be shared.
func Finish(err error, requestID string) *errs.Error {
	e := As(err)
	if e == nil {
		e = Internal(err)
	}
	out := *e
	d, ok := out.Details.(Details)
	if !ok && out.Details != nil {
		return &out
	}
	if d.Reason == "" {
		d.Reason = reasonOf(out.Code)
	}
	d.RequestID = requestID
	out.Details = d
	return &out
}

func reasonOf(code errs.ErrCode) Reason {
	switch code {
	case errs.InvalidArgument:
		return ValidationFailed
	case errs.Unauthenticated:
		return Unauthenticated
	case errs.PermissionDenied:
		return PolicyDenied
	case errs.NotFound:
		return NotFoundReason
	case errs.AlreadyExists:
		return AlreadyExists
	case errs.Unavailable:
		return DependencyUnavailable
	}
	return InternalReason
}
