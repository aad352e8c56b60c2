package issuer

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"encore.app/infra/keycloak/realm"
)

// failures counts wrong credentials of one user. A right password forgives no wrong one-time code:
// whoever knew the one could try the other for ever.
type failures struct {
	count  int // codes included
	codes  int
	last   time.Time
	locked time.Time // until when
}

// login is the outcome of a check of credentials.
type login struct {
	user  *realm.User
	level int // 1 with the password, 2 with a one-time code as well
}

// checkCredentials answers every failure alike, so that nobody learns which part was
// wrong or whether the user exists. An empty otp is no attempt at level 2.
func (i *Issuer) checkCredentials(username, password, otp string) (*login, *oauthError) {
	i.mu.Lock()
	defer i.mu.Unlock()
	user := i.userByLogin(username)
	known := "" // compared all the same, so that unknown users take as long
	if user != nil {
		known = user.Password()
	}
	right := sameText(password, known) && known != ""
	if user == nil {
		return nil, errCredentials
	}
	if i.isLocked(user) {
		i.log.Warn("sign-in refused", "user", user.ID, "why", "locked out")
		return nil, errCredentials
	}
	level := 1
	if right && otp != "" {
		level = 2
		if right = i.useOTP(user, otp); !right {
			i.countFailure(user, 1)
			return nil, errCredentials
		}
	}
	if !right {
		i.countFailure(user, 0)
		return nil, errCredentials
	}
	if !user.Enabled {
		return nil, badRequest("invalid_grant", "Account disabled")
	}
	i.forgive(user, level)
	return &login{user: user, level: level}, nil
}

// checkOTP is the second step for someone whose password was right.
func (i *Issuer) checkOTP(user *realm.User, otp string) *oauthError {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.isLocked(user) || !user.Enabled {
		return errCredentials
	}
	if !i.useOTP(user, otp) {
		i.countFailure(user, 1)
		return errCredentials
	}
	i.forgive(user, 2)
	return nil
}

// userByLogin needs i.mu.
func (i *Issuer) userByLogin(name string) *realm.User {
	for _, u := range i.realm.Users {
		if u.ServiceAccountClient == "" && name != "" &&
			(strings.EqualFold(u.Username, name) || i.realm.LoginWithEmailAllowed && strings.EqualFold(u.Email, name)) {
			return u
		}
	}
	return nil
}

// isLocked needs i.mu.
func (i *Issuer) isLocked(user *realm.User) bool {
	f := i.failures[user.ID]
	return f != nil && i.now().Before(f.locked)
}

// countFailure follows Keycloak's MULTIPLE strategy: from the failure factor on, each
// failure locks for as many increments as the factor fits into the count. It needs i.mu.
func (i *Issuer) countFailure(user *realm.User, codes int) {
	r, now := i.realm, i.now()
	f := i.failures[user.ID]
	if f == nil || now.Sub(f.last) > realm.Seconds(r.FailureReset) {
		f = &failures{}
		i.failures[user.ID] = f
	}
	f.count++
	f.codes += codes
	f.last = now
	if r.BruteForceProtected && r.FailureFactor > 0 && f.count >= r.FailureFactor {
		wait := min(r.WaitIncrement*(f.count/r.FailureFactor), r.MaxFailureWait)
		f.locked = now.Add(realm.Seconds(wait))
	}
	i.log.Warn("sign-in refused", "user", user.ID, "failures", f.count)
}

// forgive forgets the failures that a sign-in of this level makes good. It needs i.mu.
func (i *Issuer) forgive(user *realm.User, level int) {
	f := i.failures[user.ID]
	if f == nil || level >= 2 || f.codes == 0 {
		delete(i.failures, user.ID)
		return
	}
	f.count = f.codes
}

// useOTP checks a one-time code (RFC 6238). Unless the realm lets codes be used again,
// a code and all before it are spent. It needs i.mu.
func (i *Issuer) useOTP(user *realm.User, otp string) bool {
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(user.OTPSecret(), "="))
	if err != nil || len(secret) == 0 {
		return false
	}
	step := i.now().Unix() / int64(i.realm.OTPPeriod)
	for at := step - int64(i.realm.OTPLookAhead); at <= step+int64(i.realm.OTPLookAhead); at++ {
		if !sameText(otp, oneTimeCode(secret, at, i.realm.OTPDigits)) {
			continue
		}
		if !i.realm.OTPReusable && at <= i.lastStep[user.ID] {
			return false
		}
		i.lastStep[user.ID] = at
		return true
	}
	return false
}

// oneTimeCode is HOTP (RFC 4226 §5.3) with SHA-1.
func oneTimeCode(secret []byte, counter int64, digits int) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(counter)))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	number := uint64(binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff)
	modulus := uint64(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, number%modulus)
}
