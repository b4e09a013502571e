package rocketmqtest_test

import (
	"net"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// Every version starts, dies, comes back, and stops.
func TestVersions(t *testing.T) {
	for _, v := range rocketmqtest.Versions() {
		t.Run(v, func(t *testing.T) {
			if !rocketmqtest.Have(t, v) {
				return
			}
			began := time.Now()
			c := rocketmqtest.Start(t, rocketmqtest.Options{Version: v})
			t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
			connects(t, c.Namesrv())
			b := c.Broker(0)
			connects(t, b.Addr)
			must(t, b.Kill())
			refuses(t, b.Addr)
			must(t, b.Start()) // returns when the name server knows it
			connects(t, b.Addr)
			must(t, b.Stop())
			refuses(t, b.Addr)
		})
	}
}

func connects(t *testing.T, addr string) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.Close()
}

func refuses(t *testing.T, addr string) {
	t.Helper()
	if nc, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = nc.Close()
		t.Fatalf("%s accepts a connection", addr)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
