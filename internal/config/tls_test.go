package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// pair makes a self-signed certificate and its key, in PEM form.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	c, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// The Java proxy's file names in the conf directory are found without being named.
func TestTLSConfig(t *testing.T) {
	cert, key := pair(t)
	conf := dir(t, ConnectConf, "enableTlsSever=true\nmqttWssPort=8889\n", "mqtt.crt", cert, "mqtt.key", key, "ca.crt", cert)
	tests := []struct {
		name string
		set  []string
		want tls.ClientAuthType
	}{
		{"server only", nil, tls.NoClientCert},
		{"client certificates verified", []string{"sslCaCertFile=ca.crt"}, tls.VerifyClientCertIfGiven},
		{"client certificates demanded", []string{"sslCaCertFile=ca.crt", "needClientAuth=true"}, tls.RequireAndVerifyClientCert},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, r := mustLoad(t, Options{ConfDir: conf, Set: tt.set})
			got, err := c.TLSConfig()
			if err != nil {
				t.Fatal(err)
			}
			if got.ClientAuth != tt.want || got.MinVersion != tls.VersionTLS12 || len(got.Certificates) != 1 || (got.ClientCAs != nil) != (tt.set != nil) {
				t.Errorf("%+v", got)
			}
			if c.TLSPort != 8883 || c.WSSPort != 8889 || len(r.Warnings) > 0 {
				t.Errorf("ports %v %v, warnings %q", c.TLSPort, c.WSSPort, r.Warnings)
			}
		})
	}
	if got, err := (&Config{}).TLSConfig(); got != nil || err != nil {
		t.Errorf("TLS off: %v, %v", got, err)
	}
}

// Each error names the key of the file that is wrong.
func TestTLSFilesRefused(t *testing.T) {
	cert, key := pair(t)
	_, otherKey := pair(t)
	tests := []struct {
		name  string
		files []string
		set   []string
		want  string
	}{
		{"no certificate", []string{"mqtt.key", key}, nil, "sslServerCertFile (default): open "},
		{"no key", []string{"mqtt.crt", cert}, nil, "sslServerKeyFile (default): open "},
		{"another key", []string{"mqtt.crt", cert, "mqtt.key", otherKey}, nil, "do not make a pair"},
		{"no authorities", []string{"mqtt.crt", cert, "mqtt.key", key}, []string{"sslCaCertFile=ca.crt"}, "sslCaCertFile (--set): open "},
		{"authorities without certificate", []string{"mqtt.crt", cert, "mqtt.key", key, "ca.crt", "x"}, []string{"sslCaCertFile=ca.crt"}, "holds no certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf := dir(t, append(tt.files, ConnectConf, "enableTlsServer=true\n")...)
			_, _, err := Load(Options{ConfDir: conf, Set: tt.set})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// RocketMQ's certificates are verified with the authorities given, a relative path being in the conf directory, else with the system's.
func TestRocketMQTLSConfig(t *testing.T) {
	cert, _ := pair(t)
	conf := dir(t, ServiceConf, strings.Join(onRocketMQ(), "\n"), "rocketmq-ca.crt", cert)
	for _, tt := range []struct {
		set       []string
		on, roots bool
	}{
		{nil, false, false},
		{[]string{"rocketmqTls=true"}, true, false},
		{[]string{"rocketmqTls=true", "rocketmqCaCertFile=rocketmq-ca.crt"}, true, true},
	} {
		c, _ := mustLoad(t, Options{ConfDir: conf, Set: tt.set})
		got, err := c.RocketMQTLSConfig()
		if err != nil || (got != nil) != tt.on || tt.on && ((got.RootCAs != nil) != tt.roots || got.MinVersion != tls.VersionTLS12) {
			t.Errorf("%q: %+v, %v", tt.set, got, err)
		}
	}
}
