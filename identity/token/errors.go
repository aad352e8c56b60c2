package token

// Reason says why a token was refused, in the words clients switch on.
type Reason string

const (
	Malformed     Reason = "token_malformed" // not a token we can read, or its times make no sense
	WrongType     Reason = "token_type"      // an ID, refresh or other token, not an access token
	BadSignature  Reason = "bad_signature"   // algorithm, key or signature
	WrongIssuer   Reason = "wrong_issuer"
	WrongAudience Reason = "wrong_audience"
	Expired       Reason = "token_expired"
	// KeysUnavailable is no judgement on the token: the issuer's keys could not be had.
	KeysUnavailable Reason = "keys_unavailable"
)

// Error is a refused token. Detail and the wrapped error are for logs and hold
// nothing of the token itself.
type Error struct {
	Reason Reason
	Detail string
	Err    error
}

func (e *Error) Error() string {
	text := "token: " + string(e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(reason Reason, detail string) *Error { return &Error{Reason: reason, Detail: detail} }
