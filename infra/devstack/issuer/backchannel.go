package issuer

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	backchannelURL     = "backchannel.logout.url"
	backchannelEvent   = "http://schemas.openid.net/event/backchannel-logout"
	backchannelWait    = 2 * time.Second
	logoutTokenLasting = 2 * time.Minute
)

// notice tells one client of a session's end (OpenID Connect Back-Channel Logout 1.0 §2.4).
type notice struct{ url, client, user, session string }

// end ends a session and notes which clients want to hear of it. It needs i.mu.
func (i *Issuer) end(s *session) {
	if s.ended {
		return
	}
	s.ended = true
	i.log.Info("signed out", "user", s.user.ID)
	for client := range s.current {
		if to := i.backchannel[client]; to != "" {
			n := notice{url: to, client: client, user: subject(s.user)}
			if c := i.realm.Client(client); c != nil && c.Attributes["backchannel.logout.session.required"] != "false" {
				n.session = s.id
			}
			i.notices = append(i.notices, n)
		}
	}
}

// takeNotices hands over what is to be delivered. It needs i.mu.
func (i *Issuer) takeNotices() []notice {
	notices := i.notices
	i.notices = nil
	return notices
}

// notified delivers what a handler noted once it is done and holds nothing: a client that checks the
// notice comes back for the keys.
func (i *Issuer) notified(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h(w, r)
		i.mu.Lock()
		notices := i.takeNotices()
		i.mu.Unlock()
		i.deliver(r.Context(), notices)
	}
}

// deliver posts the notices one after the other, as Keycloak does: whoever signed out knows then
// that the clients were told. One that cannot be reached is left to its tokens' expiry.
func (i *Issuer) deliver(ctx context.Context, notices []notice) {
	for _, n := range notices {
		if err := i.post(ctx, n); err != nil {
			i.log.Warn("a client was not told of a sign-out", "client", n.client, "err", err)
		}
	}
}

func (i *Issuer) post(ctx context.Context, n notice) error {
	now := i.now()
	claims := map[string]any{
		"iss": i.issuer, "aud": n.client, "sub": n.user, "jti": uuid.NewString(), "typ": "Logout",
		"iat": now.Unix(), "exp": now.Add(logoutTokenLasting).Unix(),
		"events": map[string]any{backchannelEvent: map[string]any{}},
	}
	if n.session != "" {
		claims["sid"] = n.session
	}
	raw, err := i.keys.sign(false, "logout+jwt", claims)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backchannelWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, strings.NewReader(url.Values{"logout_token": {raw}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
