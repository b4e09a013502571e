package remoting

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

// selfSigned makes a certificate of 127.0.0.1 and the pool that trusts it.
func selfSigned(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestTLS(t *testing.T) {
	conf, pool := selfSigned(t)
	s := remotingtest.StartTLS(t, okSend, conf)
	c := client(t, Options{TLS: &tls.Config{RootCAs: pool}})
	ch := sends(c, s.Addr(), 100, patience, make([]byte, 1000))
	for i := range 100 {
		if got := receive(t, ch); got.n != i || got.err != nil {
			t.Fatalf("%+v", got)
		}
	}
	onlyThese(t, c, ch)
}

func TestTLSRefused(t *testing.T) {
	conf, _ := selfSigned(t)
	s := remotingtest.StartTLS(t, okSend, conf)
	c := client(t, Options{TLS: &tls.Config{RootCAs: x509.NewCertPool()}})
	_, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"})
	var unknownAuthority x509.UnknownAuthorityError
	if !errors.Is(err, ErrNotSent) || !errors.As(err, &unknownAuthority) {
		t.Errorf("%v", err)
	}
}

// A peer that accepts and says nothing: the handshake ends with DialTimeout, plain or not.
func TestTLSToSilence(t *testing.T) {
	addr := sink(t)
	c := client(t, Options{TLS: &tls.Config{}, DialTimeout: 50 * time.Millisecond})
	if _, err := c.SendSync(context.Background(), addr, &SendRequest{Topic: "T"}); !errors.Is(err, ErrNotSent) {
		t.Errorf("%v", err)
	}
}

// Close does not wait for a dial.
func TestCloseWhileDialling(t *testing.T) {
	addr := sink(t)
	c := client(t, Options{TLS: &tls.Config{}, DialTimeout: time.Hour})
	ch := sends(c, addr, 1, time.Hour, nil)
	c.Close()
	if got := receive(t, ch); !errors.Is(got.err, ErrClosed) || !errors.Is(got.err, ErrNotSent) {
		t.Errorf("%v", got.err)
	}
}
