package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles says what a TLS listener presents and whom it lets in.
type TLSFiles struct {
	Cert, Key string // PEM files: the certificate with its intermediates, and its private key
	CA        string // PEM file of the authorities that sign clients' certificates; demanded unless ClientAuth is none

	// ClientAuth is "none" (or empty): no certificate is asked for; "request": one is asked for, and must be valid if it is
	// given; "require": a valid one must be given.
	ClientAuth string
	MinVersion string // "1.2" (or empty), "1.3"
}

// Config reads the files. Errors name the file.
func (f TLSFiles) Config() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}}
	switch f.MinVersion {
	case "", "1.2":
		c.MinVersion = tls.VersionTLS12
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("minimum TLS version %q is not one of 1.2, 1.3", f.MinVersion)
	}
	switch f.ClientAuth {
	case "", "none":
		return c, nil
	case "request":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "require":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("client certificates %q is not one of none, request, require", f.ClientAuth)
	}
	if c.ClientCAs, err = readCAs(f.CA); err != nil {
		return nil, err
	}
	return c, nil
}

func readCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, errors.New("client certificates are asked for, but no file of authorities is set to check them with")
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of client certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the authorities of client certificates: %s has no certificate in PEM form", file)
	}
	return pool, nil
}
