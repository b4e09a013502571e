package view

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func open(t testing.TB) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("view", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// quiet is Pebble's logger, without what it says of every opening.
type quiet struct{ pebble.Logger }

func (quiet) Infof(string, ...any) {}

// change is a record with these changes.
func change(t testing.TB, x *Txn, offset int64, changes ...store.Change) {
	t.Helper()
	r := &Record{Offset: offset, Time: 1, Run: 1}
	for i := range changes {
		if err := x.Change(r, &changes[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// write applies a record with these changes.
func write(t testing.TB, db *pebble.DB, offset int64, changes ...store.Change) {
	t.Helper()
	x := Begin(db)
	defer x.Close()
	change(t, x, offset, changes...)
	if err := x.Apply(); err != nil {
		t.Fatal(err)
	}
}

// replace applies a record with a dump.
func replace(t testing.TB, db *pebble.DB, offset int64, client string, dump []byte) {
	t.Helper()
	x := Begin(db)
	defer x.Close()
	if err := x.Replace(&Record{Offset: offset}, client, dump); err != nil {
		t.Fatal(err)
	}
	if err := x.Apply(); err != nil {
		t.Fatal(err)
	}
}

func dump(t testing.TB, db *pebble.DB, client string) []byte {
	t.Helper()
	b, err := Dump(db, client)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dumpOf is the dump of "c" after these changes.
func dumpOf(t testing.TB, changes ...store.Change) []byte {
	t.Helper()
	db := open(t)
	write(t, db, 1000, changes...)
	return dump(t, db, "c")
}

func begins(client string) store.Change {
	return store.Change{Kind: store.Connect, Client: client, Expiry: 100}
}

func joins(client, filter string, start int64) store.Change {
	return store.Change{Kind: store.Subscribe, Client: client, Subscription: store.Subscription{Filter: filter, QoS: 2, Start: at(start)}}
}

func at(offset int64) []store.Position { return []store.Position{{Queue: 1, Offset: offset}} }

// step2 is one of the QoS 2 message id, which came through group, "" being none.
func step2(kind store.ChangeKind, id uint16, offset int64, group string) store.Change {
	return store.Change{Kind: kind, Client: "c", Inflight: []store.Inflight{{PacketID: id, QoS: 2, At: at(offset)[0], Group: group}}}
}
