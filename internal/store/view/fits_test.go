package view

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

var long = strings.Repeat("x", 65536)

// A dump of no session that could be is refused, and what was there stays as it was.
func TestReplaceRefuses(t *testing.T) {
	for name, spoil := range map[string]func(w *whole){
		"a will that is due and not there":     func(w *whole) { w.session.Will = nil },
		"a subscription twice":                 func(w *whole) { w.session.Subscriptions = twice(w.session.Subscriptions) },
		"a filter that is too long":            func(w *whole) { w.session.Subscriptions[1].Filter = long },
		"a received id twice":                  func(w *whole) { w.session.Received = twice(w.session.Received) },
		"a received id that is none":           func(w *whole) { w.session.Received[0] = 0 },
		"a receipt twice":                      func(w *whole) { w.session.Pending = twice(w.session.Pending) },
		"a receipt without id":                 func(w *whole) { w.session.Pending[0].PacketID = 0 },
		"two places of one queue":              func(w *whole) { w.session.Sent2 = twice(w.session.Sent2) },
		"a QoS 2 message twice":                func(w *whole) { w.exactly = twice(w.exactly) },
		"a QoS 2 message without id":           func(w *whole) { w.exactly[0].PacketID = 0 },
		"a QoS 2 message of QoS 1":             func(w *whole) { w.exactly[0].QoS = 1 },
		"a QoS 2 message that had not begun":   func(w *whole) { w.exactly[0].At.Offset = 1000 },
		"a QoS 2 message of an unknown queue":  func(w *whole) { w.exactly[0].At.Queue = 9 },
		"a QoS 2 message of a long group":      func(w *whole) { w.exactly[0].Group = long },
		"PUBRELs behind PUBLISHes":             func(w *whole) { w.exactly[1].Released = true },
		"a QoS 1 message twice":                func(w *whole) { w.progress.inflight = twice(w.progress.inflight) },
		"a QoS 1 message without id":           func(w *whole) { w.progress.inflight[0].PacketID = 0 },
		"a QoS 2 message among those of QoS 1": func(w *whole) { w.progress.inflight[0].QoS = 2 },
		"a QoS 0 message among those of QoS 1": func(w *whole) { w.progress.inflight[0].QoS = 0 },
	} {
		w := full(t)
		spoil(w)
		refused(t, name, "c", w.encode(nil))
	}
	good := full(t).encode(nil)
	for n := 1; n < len(good); n++ {
		refused(t, fmt.Sprint("cut to ", n), "c", good[:n])
	}
	refused(t, "with more behind it", "c", append(good, 0))
	refused(t, "of a client id that is too long", long, good)
}

// refused says that a dump is, in a view where "c" is a member of a group.
func refused(t *testing.T, name, client string, bad []byte) {
	t.Helper()
	db := open(t)
	x := Begin(db)
	defer x.Close()
	change(t, x, 1, begins("c"), joins("c", "$share/g/a", 5), joins("c", "$share/other/a", 5))
	before := keys(t, x)
	if err := x.Replace(&Record{Offset: 2}, client, bad); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%s: %v", name, err)
	}
	if after := keys(t, x); !maps.Equal(before, after) || x.Sessions() != 1 {
		t.Errorf("%s: %q became %q, %d sessions", name, before, after, x.Sessions())
	}
}

// full is a session that has something of everything.
func full(t *testing.T) *whole {
	t.Helper()
	begin := begins("c")
	begin.Will = &store.Will{Topic: "w"}
	receive := func(id uint16) store.Change {
		return store.Change{Kind: store.Receive, Client: "c", Receipt: store.Receipt{PacketID: id, Key: "key"}}
	}
	db := open(t)
	write(
		t, db, 1, begin, joins("c", "a", 5), joins("c", "$share/g/a", 5), receive(3), receive(4),
		store.Change{Kind: store.Receipted, Client: "c", PacketID: 3},
		step2(store.Send2, 1, 40, ""), step2(store.Send2, 2, 50, ""),
		store.Change{Kind: store.Detach, Client: "c", Inflight: []store.Inflight{{PacketID: 5, QoS: 1}}, WillAt: 9},
	)
	w, err := read(db, "c")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func twice[T any](list []T) []T { return append(list[:1:1], list...) }

// keys is all that x has.
func keys(t *testing.T, x *Txn) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := x.Each(nil, func(key, value []byte) error { all[string(key)] = string(value); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}
