// Package auth decides who may connect.
package auth

import (
	"crypto/tls"
	"net/netip"
)

// Request is what a CONNECT brings. Its slices are valid during the call only.
type Request struct {
	ClientID    string
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte
	Remote      netip.AddrPort
	TLS         *tls.ConnectionState // nil without TLS
}

// Result is the answer to a Request.
type Result int

// Answers.
const (
	Allowed        Result = iota
	BadCredentials        // wrong or missing user name or password: 0x86, or 4 in 3.1.1
	NotAuthorized         // known but not allowed: 0x87, or 5 in 3.1.1
)

// Authenticator decides on one CONNECT. It may block and is called concurrently. principal names who owns the
// session; empty is the anonymous one.
type Authenticator interface {
	Authenticate(r *Request) (principal string, result Result)
}
