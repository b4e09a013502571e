package limits

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Sockets that never come to an accepted CONNECT cost next to nothing, are all closed in time, and hold nobody else up. All figures
// are against the broker after start: what one kind leaves does not hide what the next one takes.
func TestUnfinishedConnect(t *testing.T) {
	const sockets = 500
	tlsAddr, _, err := broker.FreeAddrs()
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, append(tlsKeys(t, tlsAddr), "connectTimeout=1s")...)
	before := settles(t, b, afterStart)
	upgrade := []byte("GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
	for _, c := range []struct {
		name    string
		addr    string
		begin   []byte // sent at once
		dribble bool   // and then a byte now and then
		most    int64  // bytes that all sockets together may cost
	}{
		{"CONNECT claims 256 MB", b.TCP, []byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}, true, 8 * mib},
		{"CONNECT claims 16 KB", b.TCP, []byte{0x10, 0xF0, 0x7F}, true, 12 * mib},
		{"nothing is sent", b.TCP, nil, false, 12 * mib},
		{"TLS: nothing is sent", tlsAddr, nil, false, 16 * mib},
		{"TLS: half a hello", tlsAddr, []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3}, true, 16 * mib},
		{"WebSocket: half a request", b.WS, upgrade[:len(upgrade)/2], true, 24 * mib},
		{"WebSocket: a frame of 2^62 bytes", b.WS, append(upgrade[:len(upgrade):len(upgrade)],
			0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), true, 24 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			var open sync.WaitGroup
			conns := make([]net.Conn, sockets)
			for i := range conns {
				conns[i] = dial(t, c.addr)
				_, _ = conns[i].Write(c.begin) // the broker may have closed it
				open.Go(func() { _, _ = io.Copy(io.Discard, conns[i]) })
			}
			closed := make(chan struct{})
			go func() {
				open.Wait()
				close(closed)
			}()
			serves(t, b)
			most := rss(t, b)
			eventually(t, "every socket is closed", func() bool {
				if c.dribble {
					for _, nc := range conns {
						_, _ = nc.Write([]byte{0})
					}
				}
				most = max(most, rss(t, b))
				select {
				case <-closed:
					return true
				default:
					return false
				}
			})
			t.Logf("%d KiB", (most-before)/kib)
			if most-before > c.most {
				t.Errorf("%d sockets cost %d KiB, want at most %d", sockets, (most-before)/kib, c.most/kib)
			}
		})
	}
}

// serves fails the test unless a client connects, subscribes, publishes and gets its message.
func serves(t *testing.T, b *broker.Broker) {
	t.Helper()
	began := time.Now()
	c := connect(t, b.TCP, hello(mqtt.V5, ""))
	subscribe(t, c, "serves", 1)
	if err := echo(c, "serves"); err != nil {
		t.Error(err)
	}
	send(t, c, &mqtt.Disconnect{})
	t.Logf("a good client was served in %s", time.Since(began))
}

// What a PUBLISH claims to be long costs nothing; the broker's memory grows with what came of it.
func TestPublishThatIsNeverWhole(t *testing.T) {
	const (
		clients = 200
		each    = 16 * kib // what one may cost that dribbles
		kept    = 4 * mib  // by the runtime, after the first clients of all
		sent    = 16 * mib // of one that does not
		copies  = 4        // of it: the buffer, the one that it grew from, and as much not yet collected
	)
	b := start(t, "maxPacketSizeInByte=268435455", "segmentSize=1GB")
	before := settles(t, b, afterStart)
	begin := []byte{0x32, 0xFF, 0xFF, 0xFF, 0x7E} // of 254 MB
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = connect(t, b.TCP, hello(mqtt.V5, "")).Net()
		write(t, conns[i], begin)
	}
	for range 100 {
		for _, nc := range conns {
			write(t, nc, make([]byte, 10))
		}
	}
	serves(t, b)
	if cost := (settles(t, b, before+kept+clients*each) - before - kept) / clients; cost > each {
		t.Errorf("a client that sent 1,000 bytes of 254 MB costs %d bytes, want at most %d", cost, each)
	}
	write(t, conns[0], make([]byte, sent))
	most := before + kept + clients*each + copies*sent
	if now := settles(t, b, most); now > most {
		t.Errorf("%d KiB are resident with %d KiB of one packet, want at most %d", now/kib, sent/kib, most/kib)
	}
	serves(t, b)
}

// A client that sends and never reads is not listened to any more: what it is owed stays bounded.
func TestAnswersThatAreNotRead(t *testing.T) {
	const (
		clients = 20
		each    = 512 * kib
		most    = 64 * mib // that a client may get rid of; the kernel's buffers included
	)
	b := start(t)
	before := settles(t, b, afterStart)
	var blocked errgroup.Group
	for range clients {
		nc := connect(t, b.TCP, hello(mqtt.V311, "")).Net()
		blocked.Go(func() error { return sendUntilBlocked(nc, []byte{0xC0, 0}, most) })
	}
	if err := blocked.Wait(); err != nil {
		t.Fatal(err)
	}
	serves(t, b)
	if cost := (settles(t, b, before+clients*each) - before) / clients; cost > each {
		t.Errorf("a client that reads no answers costs %d bytes, want at most %d", cost, each)
	}
}

// sendUntilBlocked sends packet again and again, and reads nothing, until nothing fits any more or the other end has closed.
func sendUntilBlocked(nc net.Conn, packet []byte, most int) error {
	if err := nc.(*net.TCPConn).SetReadBuffer(4 * kib); err != nil {
		return err
	}
	many := bytes.Repeat(packet, 64*kib/len(packet))
	for sent := 0; sent <= most; {
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := nc.Write(many)
		if sent += n; err != nil {
			return nil
		}
	}
	return fmt.Errorf("a client that reads nothing could send more than %d bytes", most)
}

func write(t *testing.T, nc net.Conn, b []byte) {
	t.Helper()
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

// tlsKeys are settings for a TLS listener at addr.
func tlsKeys(t *testing.T, addr string) []string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "mqtt.crt"), filepath.Join(dir, "mqtt.key")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: certDER},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"enableTlsSever=true", "mqttTlsPort=" + port, "sslServerCertFile=" + certFile, "sslServerKeyFile=" + keyFile}
}
