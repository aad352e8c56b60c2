package keycloak

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// RotateSecret gives a confidential client a new secret and returns it; the old one is void at once.
func (c *Client) RotateSecret(ctx context.Context, clientID string) (string, error) {
	const op = "rotate secret"
	type client struct {
		ID     string `json:"id"`
		Public bool   `json:"publicClient"`
	}
	found, err := get[[]client](ctx, c, op, "/clients", url.Values{"clientId": {clientID}})
	if err != nil {
		return "", err
	}
	switch {
	case len(found) == 0 || clientID == "":
		return "", &Error{Op: op, Err: ErrNotFound}
	case found[0].Public:
		return "", &Error{Op: op, Err: ErrPublicClient}
	}
	got, err := c.do(ctx, call{
		op: op, method: http.MethodPost, path: "/clients/" + url.PathEscape(found[0].ID) + "/client-secret", want: []int{http.StatusOK},
	})
	if err != nil {
		return "", err
	}
	var secret struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(got.body, &secret); err != nil || secret.Value == "" {
		return "", &Error{Op: op, Status: got.status, Err: errors.New("the answer holds no secret")}
	}
	return secret.Value, nil
}
