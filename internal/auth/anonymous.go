package auth

// Anonymous lets everybody in. A user name or password that a client gives is neither checked nor believed: the principal
// is always empty.
type Anonymous struct {
	// LoopbackOnly refuses clients whose connection does not come from this machine, should they get here at all.
	LoopbackOnly bool
}

// Authenticate implements Authenticator.
func (a *Anonymous) Authenticate(r *Request) (principal string, result Result) {
	if a.LoopbackOnly && !r.Remote.Addr().Unmap().IsLoopback() {
		return "", NotAuthorized
	}
	return "", Allowed
}
