package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"encore.app/authz/principal"
	"encore.app/infra/edge/idempotency"
	"encore.app/infra/platform/fault"
	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/middleware"
)

// keysRequired is the service whose writes cost money when they happen twice.
const keysRequired = "licensing"

// keyOf is the request's idempotency key; "" if it has none and needs none.
func keyOf(data *encore.Request) (string, error) {
	switch data.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return "", nil
	}
	if raw(data) || !strings.HasPrefix(data.Path, "/api/v1/") {
		return "", nil
	}
	headers := data.Headers.Values(idempotency.Header)
	switch {
	case len(headers) == 0 && data.Service == keysRequired:
		return "", fault.New(errs.InvalidArgument, fault.IdempotencyRequired, "this needs an Idempotency-Key header")
	case len(headers) == 0:
		return "", nil
	}
	return idempotency.ParseKey(headers...)
}

// keyed runs a request that has an idempotency key, or repeats the answer that the key has.
func keyed(ctx context.Context, req middleware.Request, key string, p *principal.Principal, next middleware.Next) middleware.Response {
	data := req.Data()
	fingerprint, err := fingerprintOf(data)
	if err != nil {
		return middleware.Response{Err: fault.Internal(err)}
	}
	held, attempt, kept, err := idempotency.Claim(ctx, idempotency.Request{
		Caller:      p.ID() + "/" + p.Caller.ImpersonatorID,
		Org:         data.PathParams.Get(paramOrg),
		Route:       data.Service + "." + data.Endpoint,
		Key:         key,
		Fingerprint: fingerprint,
	})
	if err != nil {
		return middleware.Response{Err: err}
	}
	if attempt == nil {
		return replay(data, kept)
	}
	defer attempt.Forget(ctx) // a panic, or an answer that is not kept
	resp := next(req.WithContext(held))
	if err := keep(ctx, attempt, resp); err != nil {
		return middleware.Response{Err: err}
	}
	return resp
}

// keep ends the attempt. Its error replaces the answer: what could not be kept did not happen.
func keep(ctx context.Context, attempt *idempotency.Attempt, resp middleware.Response) error {
	answer := idempotency.Answer{Payload: resp.Payload, Status: resp.HTTPStatus}
	if resp.Err != nil {
		answer.Err = fault.Finish(resp.Err, exchangeOf(ctx).info.ID)
	}
	if !answer.Keepable() {
		return nil
	}
	text, err := answer.Encode()
	if err != nil {
		return fault.Internal(err)
	}
	if resp.Err != nil {
		return attempt.Refuse(ctx, text)
	}
	return attempt.Keep(ctx, text)
}

func replay(data *encore.Request, kept []byte) middleware.Response {
	answer, err := idempotency.Decode(kept, data.API.ResponseType)
	if err != nil {
		return middleware.Response{Err: fault.Internal(err)}
	}
	resp := middleware.Response{Payload: answer.Payload, HTTPStatus: answer.Status}
	if answer.Err != nil {
		resp.Err = answer.Err
	}
	resp.Header().Set(idempotency.Replayed, "true")
	return resp
}

// fingerprintOf is a hash of what the request asks for: the same fields in another order or spacing
// are the same request.
func fingerprintOf(data *encore.Request) ([sha256.Size]byte, error) {
	payload, err := json.Marshal(data.Payload)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("gateway: fingerprint: %w", err)
	}
	return sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", data.Method, data.Path, payload)), nil
}
