package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for one test.
type authority struct {
	t      *testing.T
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	file   string
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := a.template("authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	var der []byte
	a.key, der = a.sign(template, template, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = writePEM(t, "CERTIFICATE", der)
	return a
}

func (a *authority) template(name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (a *authority) sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

// issue returns the files of a new certificate and its key.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	k, der := a.sign(a.template(name), a.cert, a.key)
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return writePEM(a.t, "CERTIFICATE", der), writePEM(a.t, "PRIVATE KEY", b)
}

// client is a client's configuration that trusts a, with a certificate of by, or none.
func (a *authority) client(by *authority, version uint16) *tls.Config {
	a.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS10, MaxVersion: version}
	c.RootCAs.AddCert(a.cert)
	if by != nil {
		cert, err := tls.LoadX509KeyPair(by.issue("device"))
		if err != nil {
			a.t.Fatal(err)
		}
		// Not Certificates: those are left out when the server does not name their authority.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return c
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "*.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// files is what a server of a's presents.
func (a *authority) files(f TLSFiles) *tls.Config {
	a.t.Helper()
	f.Cert, f.Key = a.issue("server")
	c, err := f.Config()
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Which clients get in, by version of TLS and by their certificate.
func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		name   string
		server TLSFiles
		client *tls.Config
		ok     bool
		certs  int // that the session sees
	}{
		{"1.3", TLSFiles{}, ours.client(nil, tls.VersionTLS13), true, 0},
		{"1.2", TLSFiles{}, ours.client(nil, tls.VersionTLS12), true, 0},
		{"1.1 is too old", TLSFiles{}, ours.client(nil, tls.VersionTLS11), false, 0},
		{"1.2 is too old", TLSFiles{MinVersion: "1.3"}, ours.client(nil, tls.VersionTLS12), false, 0},
		{"none: a certificate is not asked for", TLSFiles{ClientAuth: "none"}, ours.client(ours, 0), true, 0},
		{"request: none given", TLSFiles{ClientAuth: "request", CA: ours.file}, ours.client(nil, 0), true, 0},
		{"request: ours", TLSFiles{ClientAuth: "request", CA: ours.file}, ours.client(ours, 0), true, 1},
		{"request: another authority's", TLSFiles{ClientAuth: "request", CA: ours.file}, ours.client(others, 0), false, 0},
		{"require: none given", TLSFiles{ClientAuth: "require", CA: ours.file}, ours.client(nil, 0), false, 0},
		{"require: none given, 1.2", TLSFiles{ClientAuth: "require", CA: ours.file}, ours.client(nil, tls.VersionTLS12), false, 0},
		{"require: ours", TLSFiles{ClientAuth: "require", CA: ours.file}, ours.client(ours, 0), true, 1},
		{"require: ours, 1.2", TLSFiles{ClientAuth: "require", CA: ours.file}, ours.client(ours, tls.VersionTLS12), true, 1},
		{"require: another authority's", TLSFiles{ClientAuth: "require", CA: ours.file}, ours.client(others, 0), false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, Options{}, nil, Listener{Kind: TLS, TLS: ours.files(c.server)})
			nc, err := tls.Dial("tcp", h.addr[TLS], c.client)
			if err == nil {
				defer nc.Close()
				_, err = nc.Write(connect)
				if err == nil { // in 1.3 the client learns what the server thinks of its certificate only now
					_ = nc.SetReadDeadline(time.Now().Add(patience))
					_, err = io.ReadFull(nc, make([]byte, len(connack)))
				}
			}
			if (err == nil) != c.ok {
				t.Fatalf("connecting: %v", err)
			}
			if !c.ok {
				eventually(t, "it is counted", func() bool { return h.Stats().Handshakes == 1 })
				return
			}
			if r := h.next(); r.peer.TLS == nil || len(r.peer.TLS.PeerCertificates) != c.certs || r.peer.Listener != "tls" {
				t.Errorf("peer is %+v", r.peer)
			}
		})
	}
}

// A TLS configuration means nothing to the listeners that do without: there may be one for all.
func TestTLSOfOtherListeners(t *testing.T) {
	config := newAuthority(t).files(TLSFiles{})
	h := start(t, Options{}, nil, Listener{Kind: TCP, TLS: config}, Listener{Kind: WS, TLS: config})
	h.connect()
	h.mustDialWS()
}

// Packets over TLS, cut anywhere, many at once, with the connection idle in between.
func TestTLSFraming(t *testing.T) {
	ours := newAuthority(t)
	bothWays(t, func(t *testing.T, o Options) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tls.VersionName(version), func(t *testing.T) {
				h := start(t, o, nil, Listener{Kind: TLS, TLS: ours.files(TLSFiles{})})
				c, err := tls.Dial("tcp", h.addr[TLS], ours.client(nil, version))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				b, want := stream()
				for i := range b {
					send(t, c, b[i:i+1])
				}
				const times = 300
				var wanted []string
				for range times + 1 {
					wanted = append(wanted, want...)
				}
				go func() { _, _ = c.Write(slices.Repeat(b, times)) }()
				r := h.next()
				go func() { _, _ = io.Copy(io.Discard, c) }()
				eventually(t, "all packets", func() bool { return len(r.got()) == len(wanted) })
				if !slices.Equal(r.got(), wanted) {
					t.Error("other packets than were sent")
				}
				if !o.blocking {
					eventually(t, "the connection holds no buffer", func() bool { return h.Stats().Partial == 0 && parked(h) == 1 })
				}
				send(t, c, disconnect)
				if reason := r.waitClosed(); reason != "closed by the server" {
					t.Errorf("reason is %q", reason)
				}
			})
		}
	})
}

// One byte of a TLS record at a time: what is incomplete is kept inside TLS while nothing waits for it.
func TestTLSRecordsInPieces(t *testing.T) {
	ours := newAuthority(t)
	h := start(t, Options{}, nil, Listener{Kind: TLS, TLS: ours.files(TLSFiles{})})
	raw, err := net.Dial("tcp", h.addr[TLS])
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	config := ours.client(nil, 0)
	config.ServerName = "127.0.0.1"
	c := tls.Client(&crumbs{Conn: raw}, config)
	for range 20 {
		send(t, c, connect)
		expect(t, c, connack)
	}
	send(t, c, append(frame(3, 0, make([]byte, 3000)), pingreq...))
	expect(t, c, pingresp)
	r := h.next()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if reason := r.waitClosed(); reason != "closed by the client" {
		t.Errorf("reason is %q", reason)
	}
}

// crumbs writes byte by byte.
type crumbs struct{ net.Conn }

func (c *crumbs) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// Over TLS too a slow client is told to be full, closed if it reads nothing, and Close writes everything first.
func TestTLSWriting(t *testing.T) {
	ours := newAuthority(t)
	h := start(t, Options{WriteTimeout: 500 * time.Millisecond, CloseTimeout: patience}, nil, Listener{Kind: TLS, TLS: ours.files(TLSFiles{})})
	dial := func() (*tls.Conn, *recorder) {
		c, err := tls.Dial("tcp", h.addr[TLS], ours.client(nil, 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		send(t, c, connect)
		expect(t, c, connack)
		return c, h.next()
	}
	c, r := dial()
	sent := fill(r)
	r.conn.Close()
	if got := expectEnd(t, c); len(got) != sent {
		t.Errorf("read %d bytes, %d were sent before Close", len(got), sent)
	}
	r.waitClosed()
	_, r = dial()
	stuff(t, h, r)
	if reason := r.waitClosed(); !strings.Contains(reason, "does not read") {
		t.Errorf("reason is %q", reason)
	}
}

// A client that never finishes its handshake is closed, and does not keep others from connecting.
func TestHandshakeTimeout(t *testing.T) {
	ours := newAuthority(t)
	h := start(t, Options{ConnectTimeout: time.Second}, nil,
		Listener{Kind: TLS, TLS: ours.files(TLSFiles{})}, Listener{Kind: WS}, Listener{Kind: WSS, TLS: ours.files(TLSFiles{})})
	for kind, begins := range map[Kind]string{
		TLS: "\x16\x03\x01\x01\x00\x01", // a ClientHello
		WS:  "GET /mqtt HTTP/1.1\r\nHost: x\r\n",
		WSS: "\x16\x03\x01\x01\x00\x01",
	} {
		for _, sent := range []string{"", begins} {
			c, err := net.Dial("tcp", h.addr[kind])
			if err != nil {
				t.Fatal(err)
			}
			send(t, c, []byte(sent))
			defer func() { expectEnd(t, c); _ = c.Close() }()
		}
	}
	c, err := tls.Dial("tcp", h.addr[TLS], ours.client(nil, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, c, connect)
	expect(t, c, connack)
}

func TestTLSFilesErrors(t *testing.T) {
	ours := newAuthority(t)
	cert, key := ours.issue("server")
	_, otherKey := ours.issue("other")
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, c := range []struct {
		files TLSFiles
		want  string
	}{
		{TLSFiles{Cert: missing, Key: key}, missing},
		{TLSFiles{Cert: cert, Key: otherKey}, "does not match"},
		{TLSFiles{Cert: cert, Key: key, MinVersion: "1.1"}, `"1.1"`},
		{TLSFiles{Cert: cert, Key: key, ClientAuth: "maybe"}, `"maybe"`},
		{TLSFiles{Cert: cert, Key: key, ClientAuth: "require"}, "no file of authorities"},
		{TLSFiles{Cert: cert, Key: key, ClientAuth: "request", CA: missing}, missing},
		{TLSFiles{Cert: cert, Key: key, ClientAuth: "request", CA: key}, "no certificate"},
	} {
		if _, err := c.files.Config(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error is %v, want one with %s", c.files, err, c.want)
		}
	}
}
