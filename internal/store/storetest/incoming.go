package storetest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// noteKeeper is what the changelog of a store has whose messages are somewhere else. One without it is not asked about
// notes, nor about messages on their way.
type noteKeeper interface {
	// Note returns a copy of what the last Note of q keeps; nil: nothing.
	Note(q store.Queue) ([]byte, error)
}

// reopened opens the store again, or crashes it, and brings want up to that.
func (f *fixture) reopened(want *store.Session, again func()) {
	again()
	want.SentUpTo = f.opened()
	f.expect("open again", *want)
}

func testPending(f *fixture) {
	if _, keeps := f.raw.(noteKeeper); !keeps {
		return
	}
	receipt := func(id uint16, key string) store.Receipt {
		return store.Receipt{PacketID: id, Key: key, Sum: 1<<64 - 1, At: store.Position{Queue: 1<<64 - 1, Offset: 1 << 40}, Since: f.millis()}
	}
	receive := func(r store.Receipt) { f.change(store.Change{Kind: store.Receive, Client: "c", Receipt: r}) }
	does := func(kind store.ChangeKind, id uint16) { f.change(store.Change{Kind: kind, Client: "c", PacketID: id}) }
	connect := store.Change{Kind: store.Connect, Client: "c", Expiry: 0xFFFFFFFF}
	f.change(connect)
	want := store.Session{Client: "c", Expiry: 0xFFFFFFFF, Connected: true, Created: f.millis(), SentUpTo: f.opened()}

	receive(receipt(1, "before"))
	receive(receipt(2, "two"))
	receive(receipt(1, "one"))
	want.Pending = []store.Receipt{receipt(1, "one"), receipt(2, "two")}
	f.expect("receive", want)
	does(store.Receipted, 2)
	does(store.Receipted, 2)
	does(store.Receipted, 9)
	want.Pending, want.Received = want.Pending[:1], []uint16{2}
	f.expect("receipted, again, and what was not received", want)
	does(store.Refused, 1)
	does(store.Refused, 2)
	want.Pending = nil
	f.expect("refused, and what was receipted", want)

	receive(receipt(2, "other"))
	receive(receipt(65535, ""))
	want.Pending = []store.Receipt{receipt(2, "other"), receipt(65535, "")}
	f.expect("receive under an id that was not released", want)
	f.reopened(&want, f.reopen)
	f.reopened(&want, func() { f.crash() })
	does(store.Receipted, 65535)
	want.Pending, want.Received = want.Pending[:1], []uint16{2, 65535}
	f.reopened(&want, func() { f.crash() })
	does(store.Release, 2)
	does(store.Receipted, 2)
	want.Pending, want.Received = nil, []uint16{65535}
	f.expect("released, then receipted", want)

	receive(receipt(3, "three"))
	f.change(store.Change{Kind: store.Connect, Client: "c", Expiry: 0xFFFFFFFF, Clean: true})
	does(store.Receipted, 3)
	want.Received = nil
	f.expect("a clean connect", want)
	receive(receipt(4, "four"))
	f.change(store.Change{Kind: store.Remove, Client: "c"})
	f.change(connect)
	f.expect("remove and connect", want)
}

func testNotes(f *fixture) {
	if _, keeps := f.raw.(noteKeeper); !keeps {
		return
	}
	const last = store.Queue(1<<64 - 1)
	want := map[store.Queue]string{}
	note := func(q store.Queue, value string) {
		f.change(store.Change{Kind: store.Note, Cursor: []store.Position{{Queue: q}}, Value: []byte(value)})
		want[q] = value
	}
	check := func(step string) {
		f.Helper()
		for _, q := range []store.Queue{0, 1, 1<<32 + 1, last} {
			if err := sameNote(f.raw, q, want[q]); err != nil {
				f.Errorf("%s: %v", step, err)
			}
		}
	}
	check("nothing")
	note(last, "one")
	note(1, string(bytes.Repeat([]byte{0}, 100_000)))
	check("two")
	note(last, "another")
	check("replaced")
	value, err := f.raw.(noteKeeper).Note(last)
	if err != nil {
		f.Fatal(err)
	}
	clear(value)
	check("the caller's copy was written to")
	f.reopen()
	check("open again")
	note(1, "")
	note(0, "")
	check("ended")
	f.crash()
	check("a crash")
	was := f.raw.(noteKeeper)
	f.close()
	if _, err := was.Note(last); !errors.Is(err, store.ErrClosed) {
		f.Errorf("note after Close: %v, want ErrClosed", err)
	}
}

// sameNote says in what the note of q differs; nil: in nothing, or the store has none.
func sameNote(s store.Store, q store.Queue, want string) error {
	k, keeps := s.(noteKeeper)
	if !keeps {
		return nil
	}
	got, err := k.Note(q)
	if err == nil && (string(got) != want || (got == nil) != (want == "")) {
		err = fmt.Errorf("the note of queue %d is %.20q, want %.20q", q, got, want)
	}
	return err
}
