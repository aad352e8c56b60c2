package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"encore.app/infra/keycloak/realm"
)

// grant is what tokens are made of.
type grant struct {
	client  *realm.Client
	user    *realm.User
	scope   scope
	session *session // nil for a client acting for itself
	nonce   string
}

// tokenAnswer is a successful answer of the token endpoint.
type tokenAnswer struct {
	AccessToken      string `json:"access_token"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshExpiresIn int    `json:"refresh_expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	TokenType        string `json:"token_type"`
	IDToken          string `json:"id_token,omitempty"`
	NotBeforePolicy  int    `json:"not-before-policy"`
	SessionState     string `json:"session_state,omitempty"`
	Scope            string `json:"scope"`
}

// issue signs the tokens of a grant. With a session it also turns its refresh token
// over. It needs i.mu.
func (i *Issuer) issue(g grant) (*tokenAnswer, error) {
	now := i.now()
	lifespan := i.realm.AccessTokenLifespan
	if own, err := strconv.Atoi(g.client.Attributes["access.token.lifespan"]); err == nil && own > 0 {
		lifespan = own
	}
	expires := now.Add(realm.Seconds(lifespan))
	answer := &tokenAnswer{ExpiresIn: lifespan, TokenType: "Bearer", Scope: g.scope.shown}
	headerType := "JWT"
	if g.client.Attributes["access.token.header.type.rfc9068"] == "true" {
		headerType = "at+jwt"
	}
	var err error
	if answer.AccessToken, err = i.keys.sign(false, headerType, i.accessClaims(g, now, expires)); err != nil {
		return nil, err
	}
	if g.session == nil {
		return answer, nil
	}
	g.session.lastUsed = now
	end := i.endOf(g.session)
	refreshID := uuid.NewString()
	g.session.current[g.client.ID] = refreshID
	answer.SessionState = g.session.id
	answer.RefreshExpiresIn = int(end.Sub(now) / time.Second)
	if answer.RefreshToken, err = i.keys.sign(true, "JWT", i.refreshClaims(g, refreshID, now, end)); err != nil {
		return nil, err
	}
	if g.scope.has("openid") {
		answer.IDToken, err = i.keys.sign(false, "JWT", i.idClaims(g, answer.AccessToken, now, expires))
	}
	return answer, err
}

// common are the claims that every token of a grant has.
func (i *Issuer) common(g grant, kind string, now, expires time.Time) map[string]any {
	claims := map[string]any{
		"exp": expires.Unix(), "iat": now.Unix(), "jti": uuid.NewString(),
		"iss": i.issuer, "typ": kind, "azp": g.client.ID,
	}
	if g.scope.has("basic") {
		claims["sub"] = subject(g.user)
	}
	if g.session != nil {
		claims["sid"] = g.session.id
		if g.scope.has("basic") {
			claims["auth_time"] = g.session.authTime.Unix()
		}
	}
	return claims
}

// subject is the user's id; a service account, which has none in the files, gets one from its name.
func subject(user *realm.User) string {
	if user.ID != "" {
		return user.ID
	}
	return derivedID(user.Username)
}

func (i *Issuer) accessClaims(g grant, now, expires time.Time) map[string]any {
	claims := i.common(g, "Bearer", now, expires)
	maps.Copy(claims, i.identityClaims(g))
	claims["scope"] = g.scope.shown
	aud := g.client.Audiences()
	if g.scope.has("roles") {
		realmRoles, clientRoles := i.roles(g.client, g.user)
		if len(realmRoles) > 0 {
			claims["realm_access"] = map[string]any{"roles": realmRoles}
		}
		access := map[string]any{}
		for _, owner := range slices.Sorted(maps.Keys(clientRoles)) {
			access[owner] = map[string]any{"roles": clientRoles[owner]}
			// The roles scope adds every client whose role is in the token.
			if owner != g.client.ID && !slices.Contains(aud, owner) {
				aud = append(aud, owner)
			}
		}
		if len(access) > 0 {
			claims["resource_access"] = access
		}
	}
	switch len(aud) {
	case 0:
	case 1:
		claims["aud"] = aud[0]
	default:
		claims["aud"] = aud
	}
	if g.scope.has("web-origins") && len(g.client.WebOrigins) > 0 {
		claims["allowed-origins"] = g.client.WebOrigins
	}
	return claims
}

// identityClaims are the claims that access and ID tokens and userinfo share.
func (i *Issuer) identityClaims(g grant) map[string]any {
	claims := map[string]any{}
	if g.scope.has("acr") {
		level := 1
		if g.session != nil {
			level = g.session.level
		}
		claims["acr"] = strconv.Itoa(level)
	}
	if g.session != nil && g.client.HasMapper("oidc-amr-mapper") {
		claims["amr"] = g.session.amr()
	}
	maps.Copy(claims, i.profileClaims(g.scope, g.user))
	return claims
}

func (i *Issuer) profileClaims(s scope, user *realm.User) map[string]any {
	claims := map[string]any{}
	if s.has("profile") {
		claims["preferred_username"] = user.Username
		claims["given_name"] = user.FirstName
		claims["family_name"] = user.LastName
		claims["name"] = user.FirstName + " " + user.LastName
	}
	if s.has("email") && user.Email != "" {
		claims["email"] = user.Email
		claims["email_verified"] = user.EmailVerified
	}
	if orgs := i.organizations(s, user); len(orgs) > 0 {
		claims["organization"] = orgs
	}
	return claims
}

func (i *Issuer) idClaims(g grant, accessToken string, now, expires time.Time) map[string]any {
	claims := i.common(g, "ID", now, expires)
	maps.Copy(claims, i.identityClaims(g))
	claims["aud"] = g.client.ID
	sum := sha256.Sum256([]byte(accessToken))
	claims["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return claims
}

// refreshClaims carry enough to take the session up again after a restart.
func (i *Issuer) refreshClaims(g grant, id string, now, expires time.Time) map[string]any {
	claims := i.common(g, "Refresh", now, expires)
	maps.Copy(claims, map[string]any{
		"jti": id, "aud": i.issuer, "sub": subject(g.user),
		"scope": g.scope.shown, "acr": strconv.Itoa(g.session.level),
		"auth_time": g.session.authTime.Unix(), "started": g.session.started.Unix(),
	})
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return claims
}
