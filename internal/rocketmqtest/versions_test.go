package rocketmqtest

import (
	"testing"
	"time"
)

// ends are the first and the last version: those between them start, send and are guarded in the tests of other packages.
func ends() []string { return []string{Versions()[0], Versions()[len(Versions())-1]} }

// A version starts, takes messages, keeps them when it is killed, and stops.
func TestVersions(t *testing.T) {
	cpu := make(chan struct{}, 1) // one starts at a time; they stop side by side, which takes long and little else
	for _, v := range ends() {
		t.Run(v, func(t *testing.T) {
			if !Have(t, v) {
				return
			}
			t.Parallel()
			b := lives(t, v, cpu)
			began := time.Now()
			must(t, b.Stop())
			t.Logf("stopped in %s", time.Since(began).Round(time.Millisecond))
			refuses(t, b.Addr)
		})
	}
}

func lives(t *testing.T, version string, cpu chan struct{}) *Broker {
	cpu <- struct{}{}
	defer func() { <-cpu }()
	began := time.Now()
	c := Start(t, Options{Version: version})
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	b := c.Broker(0)
	sends(t, b, nil)
	holds(t, b, 1)
	must(t, b.Kill())
	refuses(t, b.Addr)
	must(t, b.Start()) // returns when the name server knows it
	holds(t, b, 1)
	return b
}

// A version with what guards it: TLS only, and signed requests only.
func TestGuarded(t *testing.T) {
	account := &ACL{AccessKey: "rocketmqtt", SecretKey: "a-long-secret"}
	for _, v := range ends() {
		t.Run(v, func(t *testing.T) {
			if !Have(t, v) {
				return
			}
			c := Start(t, Options{Version: v, ACL: account, TLS: TLSEnforcing})
			b := c.Broker(0)
			refusal := noPermission
			if b.c.plainACL() {
				refusal = systemError
			}
			refusesSend(t, b, nil, refusal)
			refusesSend(t, b, &ACL{AccessKey: account.AccessKey, SecretKey: "another-secret"}, refusal)
			sends(t, b, account)
			must(t, b.register(t.Context()))
			plain := &Cluster{}
			if _, err := plain.ask(t.Context(), b.Addr, getMaxOffset, nil, nil); err == nil {
				t.Error("a broker that wants TLS answers without")
			}
		})
	}
}
