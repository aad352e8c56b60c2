package issuer

import (
	"time"

	"encore.app/infra/keycloak/realm"
)

const sweepInterval = time.Minute

// session is one sign-in of a user, shared by the clients that use it.
type session struct {
	id       string
	cookie   string // "" for sessions without a browser
	user     *realm.User
	level    int
	authTime time.Time
	started  time.Time
	lastUsed time.Time
	current  map[string]string // client → id of its newest refresh token, or clientEnded
	resumed  bool              // begun in an earlier run
	ended    bool              // signed out; kept so that an old refresh token cannot resume it
}

// clientEnded marks a client that has lost its part in a session.
const clientEnded = "-"

// amr names what the user showed (RFC 8176).
func (s *session) amr() []string {
	if s.level >= 2 {
		return []string{"pwd", "otp"}
	}
	return []string{"pwd"}
}

// newSession needs i.mu.
func (i *Issuer) newSession(user *realm.User, level int) *session {
	now := i.now()
	i.sweep(now)
	s := &session{
		id: randomID()[:24], user: user, level: level,
		authTime: now, started: now, lastUsed: now, current: map[string]string{},
	}
	i.sessions[s.id] = s
	return s
}

// alive finds a session that has not ended, nil if there is none. It needs i.mu.
func (i *Issuer) alive(id string) *session {
	s := i.sessions[id]
	if s == nil || s.ended || !s.user.Enabled || !i.now().Before(i.endOf(s)) {
		return nil
	}
	return s
}

// endOf is when a session ends if nobody uses it again.
func (i *Issuer) endOf(s *session) time.Time {
	idle := s.lastUsed.Add(realm.Seconds(i.realm.SessionIdleTimeout))
	longest := s.started.Add(realm.Seconds(i.realm.SessionMaxLifespan))
	if idle.Before(longest) {
		return idle
	}
	return longest
}

// sessionByCookie finds the session of a browser. It needs i.mu.
func (i *Issuer) sessionByCookie(cookie string) *session {
	if cookie == "" {
		return nil
	}
	for id, s := range i.sessions {
		if s.cookie != "" && sameText(s.cookie, cookie) {
			return i.alive(id)
		}
	}
	return nil
}

// sweep drops what has run out. It needs i.mu.
func (i *Issuer) sweep(now time.Time) {
	if now.Sub(i.swept) < sweepInterval {
		return
	}
	i.swept = now
	for id, s := range i.sessions {
		if !now.Before(i.endOf(s)) {
			delete(i.sessions, id)
		}
	}
	for id, c := range i.codes {
		if now.After(c.expires) {
			delete(i.codes, id)
		}
	}
	for id, p := range i.pending {
		if now.After(p.expires) {
			delete(i.pending, id)
		}
	}
	for id, expires := range i.revoked {
		if now.After(expires) {
			delete(i.revoked, id)
		}
	}
}
