package auth

import (
	"net/netip"
	"strings"
	"testing"
)

// The passwords were made with: printf %s "$id" | openssl dgst -sha1 -hmac "$key" -binary | base64
// and again with Python's hmac module.
func TestPassword(t *testing.T) {
	tests := []struct{ key, id, want string }{
		{"s3cret", "c1", "IsTuWTi4EoSHSAGxAQJRX1PL43c="},
		{"12345678", "GID@@@device-1", "Pi85sEN1IwqRWpjnlmzuQU/m10g="},
		{"schlüssel", "gerät/%", "oyINpTJF6Bz8sDMXURyN0Ylc1c8="},
		{"k", "", "OoSiGO5mZSCbtw6EUl3YN2RaGWU="},
		{strings.Repeat("x", 100), strings.Repeat("y", 300), "vk3NKzJPTAjca9bIOllzHx8QcS0="}, // a key longer than the hash's block
	}
	for _, tt := range tests {
		if got := Password(tt.key, tt.id); got != tt.want {
			t.Errorf("key %q, client %q: got %s, want %s", tt.key, tt.id, got, tt.want)
		}
	}
}

func request(id, login string) *Request {
	r := &Request{ClientID: id, Remote: netip.MustParseAddrPort("192.0.2.1:5000")}
	if login == "" {
		return r
	}
	name, password, both := strings.Cut(login, ":")
	r.HasUsername, r.Username = true, name
	r.HasPassword, r.Password = both, []byte(password)
	return r
}

func TestSignature(t *testing.T) {
	const right = "IsTuWTi4EoSHSAGxAQJRX1PL43c="
	s := &Signature{Username: "fleet", SecretKey: "s3cret"}
	tests := []struct {
		name   string
		id     string
		login  string // name:password
		result Result
	}{
		{"right", "c1", "fleet:" + right, Allowed},
		{"password of another client", "c2", "fleet:" + right, BadCredentials},
		{"another name", "c1", "Fleet:" + right, BadCredentials},
		{"longer name", "c1", "fleet2:" + right, BadCredentials},
		{"no padding", "c1", "fleet:" + strings.TrimSuffix(right, "="), BadCredentials},
		{"prefix", "c1", "fleet:I", BadCredentials},
		{"white space", "c1", "fleet:" + right + "\n", BadCredentials},
		{"empty password", "c1", "fleet:", BadCredentials},
		{"name alone", "c1", "fleet", BadCredentials},
		{"the key itself", "c1", "fleet:s3cret", BadCredentials},
		{"nothing", "c1", "", BadCredentials},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			principal, result := s.Authenticate(request(tt.id, tt.login))
			if result != tt.result || (principal == "fleet") != (result == Allowed) {
				t.Errorf("got %q, %v", principal, result)
			}
		})
	}
}

// MQTT 5 allows a password without a user name; it is no login here, and not anonymous either.
func TestPasswordWithoutName(t *testing.T) {
	s := &Signature{Username: "fleet", SecretKey: "s3cret", Anonymous: &Anonymous{}}
	r := &Request{ClientID: "c1", HasPassword: true, Password: []byte(Password("s3cret", "c1"))}
	if _, result := s.Authenticate(r); result != BadCredentials {
		t.Errorf("got %v", result)
	}
}

// A zero Signature lets nobody in, not even who signs with the empty key.
func TestSignatureWithoutKey(t *testing.T) {
	if _, result := new(Signature).Authenticate(request("c1", ":"+Password("", "c1"))); result != BadCredentials {
		t.Errorf("got %v", result)
	}
}

func TestAnonymous(t *testing.T) {
	open, local := &Anonymous{}, &Anonymous{LoopbackOnly: true}
	tests := []struct {
		name   string
		a      Authenticator
		remote string
		login  string
		result Result
	}{
		{"open", open, "192.0.2.1:5000", "", Allowed},
		{"open, a name", open, "192.0.2.1:5000", "somebody:x", Allowed},
		{"local", local, "127.0.0.1:5000", "", Allowed},
		{"local, IPv6", local, "[::1]:5000", "", Allowed},
		{"local, mapped", local, "[::ffff:127.0.0.1]:5000", "", Allowed},
		{"from elsewhere", local, "192.0.2.1:5000", "", NotAuthorized},
		{"from elsewhere, IPv6", local, "[2001:db8::1]:5000", "", NotAuthorized},
		{"beside a login", &Signature{Username: "u", SecretKey: "k", Anonymous: open}, "192.0.2.1:5000", "", Allowed},
		{"beside a login, wrong name", &Signature{Username: "u", SecretKey: "k", Anonymous: open}, "192.0.2.1:5000", "v:x", BadCredentials},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("c1", tt.login)
			r.Remote = netip.MustParseAddrPort(tt.remote)
			if principal, result := tt.a.Authenticate(r); result != tt.result || principal != "" {
				t.Errorf("got %q, %v", principal, result)
			}
		})
	}
	if _, result := local.Authenticate(&Request{}); result != NotAuthorized {
		t.Errorf("unknown address: got %v", result)
	}
}
