package auth

import (
	"crypto/hmac"
	"crypto/sha1" // the Java proxy's login; HMAC does not need a collision-free hash
	"crypto/subtle"
	"encoding/base64"
)

// Signature is the login of the Java proxy: one user name, and a password that each client makes of its client id and a
// secret key: the standard Base64, padded, of HMAC-SHA1(key, client id), both as UTF-8. The principal is the user name.
type Signature struct {
	Username  string
	SecretKey string
	// Anonymous decides on clients that give neither user name nor password. nil refuses them.
	Anonymous Authenticator
}

// Authenticate implements Authenticator. A wrong name takes as long as a wrong password, and neither tells how
// much of it was right.
func (s *Signature) Authenticate(r *Request) (principal string, result Result) {
	if !r.HasUsername && !r.HasPassword && s.Anonymous != nil {
		return s.Anonymous.Authenticate(r)
	}
	name := equal(s.Username, r.Username)
	password := equal(Password(s.SecretKey, r.ClientID), string(r.Password))
	// An empty key signs for everybody: a Signature without one must not let anybody in.
	if !name || !password || !r.HasUsername || !r.HasPassword || s.SecretKey == "" {
		return "", BadCredentials
	}
	return s.Username, Allowed
}

// Password returns the password with which a client of that id logs in.
func Password(secretKey, clientID string) string {
	mac := hmac.New(sha1.New, []byte(secretKey))
	mac.Write([]byte(clientID))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// equal compares in a time that depends on the length of the given value only.
func equal(want, given string) bool {
	return subtle.ConstantTimeCompare([]byte(want), []byte(given)) == 1
}
