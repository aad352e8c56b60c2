package errs

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// genericMessage stands for errors whose text is not meant for clients.
const genericMessage = "an internal error occurred"

// HTTPError answers w with err as JSON, with the status of its code; nil is answered as
//
//	{"code": "ok", "message": "", "details": null}
//
// Of an error that is not an *Error the client learns nothing but that it happened.
func HTTPError(w http.ResponseWriter, err error) {
	e := find(err)
	if e == nil {
		e = &Error{}
		if err != nil {
			e = &Error{Code: Unknown, Message: genericMessage}
		}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if enc.Encode(e) != nil { // details that cannot be encoded
		body.Reset()
		_ = enc.Encode(&Error{Code: e.Code, Message: e.Message})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Code.HTTPStatus())
	_, _ = w.Write(body.Bytes())
}
