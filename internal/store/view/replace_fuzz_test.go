package view

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// Any bytes are refused as a dump, and then nothing is changed; or they are a session, which the view gives back as it is, and of which nothing is left when it ends.
func FuzzReplace(f *testing.F) {
	db := open(f)
	x := Begin(db)
	defer x.Close()
	for i, c := range storetest.Changes() {
		if err := x.Change(&Record{Offset: int64(i), Time: 7, Run: 1}, &c); err != nil {
			f.Fatal(err)
		}
		_, dump := session(f, x)
		f.Add(dump)
	}
	f.Add(bytes.Repeat([]byte{0xFF}, 40))
	f.Fuzz(func(t *testing.T, dump []byte) {
		x := Begin(db) // and never applied
		defer x.Close()
		change(t, x, 1, begins("c"), joins("c", "$share/g/a/#", 5), joins("c", "$share/old", 6), joins("c", "b", 6))
		before, _ := session(t, x)
		if err := x.Replace(&Record{Offset: 2}, "c", dump); err != nil {
			if after, _ := session(t, x); !errors.Is(err, store.ErrCorrupt) || !reflect.DeepEqual(before, after) {
				t.Errorf("refused with %v: %+v became %+v", err, before, after)
			}
			return
		}
		if len(dump) > 0 {
			isReplaced(t, x, dump)
		}
		if err := x.Replace(&Record{Offset: 4}, "c", nil); err != nil {
			t.Fatal(err)
		}
		if err := x.Each(nil, func(key, _ []byte) error { t.Errorf("left: %q", key); return nil }); err != nil || x.Sessions() != 0 {
			t.Errorf("left: %d sessions, %v", x.Sessions(), err)
		}
	})
}

// isReplaced says that the session is what a dump says, and so is what is dumped of it.
func isReplaced(t *testing.T, x *Txn, dump []byte) {
	t.Helper()
	var w *whole
	var err error
	storetest.Bounded(t, len(dump), 40, func() { w, err = parseDump("c", dump) })
	if err != nil {
		t.Fatal(err)
	}
	first, dumped := session(t, x)
	if want := w.load(); !reflect.DeepEqual(first, want) {
		t.Errorf("%+v became %+v", want, first)
	}
	if err := x.Replace(&Record{Offset: 3}, "c", dumped); err != nil {
		t.Fatal(err)
	}
	if second, again := session(t, x); !reflect.DeepEqual(second, first) || !bytes.Equal(again, dumped) {
		t.Errorf("%+v became %+v, and its dump %x became %x", first, second, dumped, again)
	}
}

// session is what x has of "c".
func session(t testing.TB, x *Txn) (s *store.Session, dump []byte) {
	t.Helper()
	s, _, err := Load(x.reader(), "c")
	if err == nil {
		dump, err = Dump(x.reader(), "c")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, dump
}
