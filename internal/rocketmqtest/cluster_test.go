package rocketmqtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// quick is the version that starts and stops soonest.
const quick = V497

// maxMessageSize is a broker's limit out of the box, in bytes of the body.
const maxMessageSize = 4 << 20

// A store can be put back to what it was, given to another broker, and lost.
func TestStore(t *testing.T) {
	if !Have(t, quick) {
		return
	}
	b := Start(t, Options{Version: quick}).Broker(0)
	sends(t, b, nil)
	holds(t, b, 1)
	must(t, b.Kill())
	snap, err := b.SnapshotStore()
	must(t, err)

	must(t, b.Start())
	if _, err := b.SnapshotStore(); err == nil {
		t.Error("copies the store of a broker that runs")
	}
	sends(t, b, nil)
	holds(t, b, 2)
	must(t, b.Kill())

	must(t, b.RestoreStore(snap))
	must(t, b.Start())
	holds(t, b, 1)
	must(t, b.Kill())

	must(t, b.LoseStore())
	must(t, b.Start())
	holds(t, b, 0)
}

// A broker whose disk is full answers, and takes no messages until there is room again; one that does not come up can be put right.
func TestDiskFull(t *testing.T) {
	if !Have(t, quick) {
		return
	}
	b := Start(t, Options{Version: quick}).Broker(0)
	sends(t, b, nil)
	must(t, b.Kill())
	b.DiskFull(true)
	must(t, b.Start())
	eventually(t, func() bool { return send(t, b, nil).Code == serviceUnavailable }, func() { t.Fatal("a broker with a full disk takes messages") })
	must(t, b.Kill())
	b.DiskFull(false)
	b.Property("java.security.manager", "none.such")
	if err := b.Start(); err == nil || !strings.Contains(err.Error(), "none.such") || b.Running() {
		t.Fatalf("a JVM that cannot start: %v", err)
	}
	b.Property("java.security.manager", "")
	must(t, b.Start())
	sends(t, b, nil)
}

// Each server of a cluster is ended, halted and started by itself.
func TestServers(t *testing.T) {
	shared := Shared{Options: Options{Version: quick, Brokers: 2, SyncFlush: true}}
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	t.Cleanup(func() { must(t, c.Close()) })
	if shared.Cluster(t) != c {
		t.Error("a package has two clusters")
	}
	a, b := c.Broker(0), c.Broker(1)
	for _, broker := range []*Broker{a, b} {
		if known, err := c.registered(t.Context(), broker.Addr); err != nil || !known {
			t.Fatalf("the name server does not know %s: %v", broker.Name, err)
		}
	}

	must(t, a.Pause())
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.ask(soon, a.Addr, getMaxOffset, nil, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a broker that is paused: %v", err)
	}
	sends(t, b, nil)
	must(t, a.Resume())
	sends(t, a, nil)
	if big := sendBody(t, a, make([]byte, maxMessageSize), nil); big.Code != success {
		t.Errorf("a message of maxMessageSize is answered with %d: %s", big.Code, big.Remark)
	}

	must(t, c.NameServer().Kill())
	refuses(t, c.Namesrv())
	sends(t, a, nil)
	must(t, c.NameServer().Start())
	must(t, a.register(t.Context()))
	if known, err := c.registered(t.Context(), a.Addr); err != nil || !known {
		t.Errorf("a broker that was told to register is unknown: %v", err)
	}
	holds(t, a, 3)
	holds(t, b, 1)
	if log := a.Log(); !strings.Contains(log, "boot success") || !strings.Contains(log, "broker.log") || !strings.Contains(log, "store.log") {
		t.Errorf("the log of a broker is\n%s", log)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Version: "4.9.8"},
		{Brokers: maxBrokers + 1},
		{Brokers: -1},
		{BrokerConf: map[string]string{"listenPort": "10911"}},
	} {
		if c, err := Launch(o); err == nil {
			t.Errorf("%+v is accepted", o)
			_ = c.Close()
		}
	}
}

// What a kill has left of a file that was being made does not keep a broker from starting; what has something in it stays.
func TestEmptyFilesOfQueues(t *testing.T) {
	dir := t.TempDir()
	must(t, removeEmpty(filepath.Join(dir, "not there")))
	for name, size := range map[string]int{"empty": 0, "full": 1} {
		must(t, os.MkdirAll(filepath.Join(dir, "topic", "0"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "topic", "0", name), make([]byte, size), 0o600))
	}
	must(t, removeEmpty(dir))
	left, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	must(t, err)
	if len(left) != 1 || filepath.Base(left[0]) != "full" {
		t.Errorf("%v are left", left)
	}
}
