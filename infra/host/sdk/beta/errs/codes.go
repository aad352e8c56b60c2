package errs

import "net/http"

// ErrCode classifies an error. The codes are those of gRPC.
type ErrCode int

const (
	OK                 ErrCode = 0  // no error
	Canceled           ErrCode = 1  // the caller gave up
	Unknown            ErrCode = 2  // an error that says nothing of itself
	InvalidArgument    ErrCode = 3  // wrong whatever state the system is in
	DeadlineExceeded   ErrCode = 4  // it took too long; it may have happened all the same
	NotFound           ErrCode = 5  // there is no such thing
	AlreadyExists      ErrCode = 6  // there is one already
	PermissionDenied   ErrCode = 7  // the caller is known and may not
	ResourceExhausted  ErrCode = 8  // a quota or a limit is used up
	FailedPrecondition ErrCode = 9  // the system's state forbids it; retrying does not help
	Aborted            ErrCode = 10 // lost a race; retry the whole sequence
	OutOfRange         ErrCode = 11 // past the end of something that may grow
	Unimplemented      ErrCode = 12 // not supported here
	Internal           ErrCode = 13 // something that must hold does not
	Unavailable        ErrCode = 14 // not now; retrying may help
	DataLoss           ErrCode = 15 // lost or corrupt beyond repair
	Unauthenticated    ErrCode = 16 // the caller is not known
)

// statusClientClosed is what nginx calls a request that the client gave up.
const statusClientClosed = 499

var codes = [...]struct {
	name   string
	status int
}{
	OK:                 {"ok", http.StatusOK},
	Canceled:           {"canceled", statusClientClosed},
	Unknown:            {"unknown", http.StatusInternalServerError},
	InvalidArgument:    {"invalid_argument", http.StatusBadRequest},
	DeadlineExceeded:   {"deadline_exceeded", http.StatusGatewayTimeout},
	NotFound:           {"not_found", http.StatusNotFound},
	AlreadyExists:      {"already_exists", http.StatusConflict},
	PermissionDenied:   {"permission_denied", http.StatusForbidden},
	ResourceExhausted:  {"resource_exhausted", http.StatusTooManyRequests},
	FailedPrecondition: {"failed_precondition", http.StatusBadRequest},
	Aborted:            {"aborted", http.StatusConflict},
	OutOfRange:         {"out_of_range", http.StatusBadRequest},
	Unimplemented:      {"unimplemented", http.StatusNotImplemented},
	Internal:           {"internal", http.StatusInternalServerError},
	Unavailable:        {"unavailable", http.StatusServiceUnavailable},
	DataLoss:           {"data_loss", http.StatusInternalServerError},
	Unauthenticated:    {"unauthenticated", http.StatusUnauthorized},
}

func (c ErrCode) known() ErrCode {
	if c < 0 || int(c) >= len(codes) {
		return Unknown
	}
	return c
}

// String gives the code's name as it is sent to clients.
func (c ErrCode) String() string { return codes[c.known()].name }

// HTTPStatus gives the HTTP status that fits the code.
func (c ErrCode) HTTPStatus() int { return codes[c.known()].status }

// MarshalJSON writes the code's name.
func (c ErrCode) MarshalJSON() ([]byte, error) { return []byte(`"` + c.String() + `"`), nil }
