package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsFileError says which key named a file that cannot be used.
type tlsFileError struct {
	key string
	err error
}

func (e *tlsFileError) Error() string { return e.key + ": " + e.err.Error() }
func (e *tlsFileError) Unwrap() error { return e.err }

// TLSConfig loads the certificate, its key and the authorities of client certificates. It is nil when TLS is off.
func (c *Config) TLSConfig() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, pairError(c, err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if c.TLSClientCA == "" {
		return t, nil
	}
	pem, err := readFile(c.TLSClientCA)
	if err != nil {
		return nil, &tlsFileError{"sslCaCertFile", err}
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, &tlsFileError{"sslCaCertFile", fmt.Errorf("%s holds no certificate in PEM form", c.TLSClientCA)}
	}
	t.ClientAuth = tls.VerifyClientCertIfGiven
	if c.TLSClientAuth {
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return t, nil
}

// pairError tells which of the two files err is about.
func pairError(c *Config, err error) error {
	var path *os.PathError
	switch {
	case errors.As(err, &path) && path.Path == c.TLSCert:
		return &tlsFileError{"sslServerCertFile", err}
	case errors.As(err, &path):
		return &tlsFileError{"sslServerKeyFile", err}
	}
	return &tlsFileError{"sslServerCertFile", fmt.Errorf("%s and the key %s do not make a pair: %w", c.TLSCert, c.TLSKey, err)}
}

// RocketMQTLSConfig loads the authorities that name servers and brokers are verified with. It is nil when TLS is off.
func (c *Config) RocketMQTLSConfig() (*tls.Config, error) {
	if !c.RocketMQTLS {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.RocketMQCA == "" {
		return t, nil
	}
	pem, err := readFile(c.RocketMQCA)
	if err != nil {
		return nil, err
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", c.RocketMQCA)
	}
	return t, nil
}
