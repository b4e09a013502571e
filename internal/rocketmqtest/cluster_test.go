package rocketmqtest

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// quick is the version that starts and stops soonest.
const quick = V497

// A store can be put back to what it was, given to another broker, and lost.
func TestStore(t *testing.T) {
	if !Have(t, quick) {
		return
	}
	b := Start(t, Options{Version: quick}).Broker(0)
	sends(t, b, nil)
	holds(t, b, 1)
	must(t, b.Stop())
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

// A broker whose disk is full answers, and takes no messages until there is room again.
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
	must(t, b.Start())
	sends(t, b, nil)
}

// Each server of a cluster is ended, halted and started by itself.
func TestServers(t *testing.T) {
	if !Have(t, quick) {
		return
	}
	c := Start(t, Options{Version: quick, Brokers: 2, SyncFlush: true})
	a, b := c.Broker(0), c.Broker(1)
	for _, broker := range []*Broker{a, b} {
		if known, err := c.registered(t.Context(), broker.Addr); err != nil || !known {
			t.Fatalf("the name server does not know %s: %v", broker.Name, err)
		}
	}

	must(t, a.Pause())
	if _, err := c.ask(t.Context(), a.Addr, getMaxOffset, nil, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a broker that is paused: %v", err)
	}
	sends(t, b, nil)
	must(t, a.Resume())
	sends(t, a, nil)

	must(t, c.NameServer().Kill())
	refuses(t, c.Namesrv())
	sends(t, a, nil)
	must(t, c.NameServer().Start())
	holds(t, a, 2)
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
