package rocketmqtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TLS is what the servers' ports speak (tls.server.mode).
type TLS int

// What there is. Clients need no certificate.
const (
	TLSOff        TLS = iota // disabled: plain only. Out of the box servers are permissive, with a certificate made up at the start.
	TLSPermissive            // plain and TLS on the same port
	TLSEnforcing             // TLS only, also between a broker and the name server
)

func (m TLS) mode() string { return [...]string{"disabled", "permissive", "enforcing"}[m] }

// certificates are of all servers of a cluster, for 127.0.0.1 and localhost.
type certificates struct {
	cert, key string // PEM files; the key in PKCS #8, which Netty wants
	pool      *x509.CertPool
}

// CA is the PEM file of the certificate that clients have to trust, or "" when TLS is off.
func (c *Cluster) CA() string {
	if c.tls == nil {
		return ""
	}
	return c.tls.cert
}

// ClientTLS is the configuration for a client of these servers; nil when TLS is off.
func (c *Cluster) ClientTLS() *tls.Config {
	if c.tls == nil {
		return nil
	}
	return &tls.Config{RootCAs: c.tls.pool, MinVersion: tls.VersionTLS12}
}

// tlsProperties are a server's, read by org.apache.rocketmq.remoting.netty.TlsSystemConfig.
func (c *Cluster) tlsProperties() map[string]string {
	props := map[string]string{
		"tls.server.mode": c.opts.TLS.mode(),
		"tls.config.file": filepath.Join(c.dir, "none"), // else /etc/rocketmq/tls.properties, if there is one
	}
	if c.tls != nil {
		props["tls.test.mode.enable"] = "false" // true: a certificate of its own
		props["tls.server.certPath"] = c.tls.cert
		props["tls.server.keyPath"] = c.tls.key
	}
	if c.opts.TLS == TLSEnforcing {
		props["tls.enable"] = "true" // as a client, of the name server
		props["tls.client.authServer"] = "true"
		props["tls.client.trustCertPath"] = c.tls.cert
	}
	return props
}

func (c *Cluster) makeCertificates() error {
	if c.opts.TLS == TLSOff {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "rocketmqtest"},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cert) {
		return fmt.Errorf("the certificate made for the servers is not one")
	}
	c.tls = &certificates{cert: filepath.Join(c.dir, "cert.pem"), key: filepath.Join(c.dir, "key.pem"), pool: pool}
	if err := os.WriteFile(c.tls.cert, cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.tls.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}
