package retained

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// What is counted, and where messages are found by their places, is what is retained, whatever records came.
func TestCounted(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	w := newWorld(t)
	v := w.node(Options{})
	for range 500 {
		const topics = 20
		topic, nth := rng.IntN(topics), len(w.log)+30-rng.IntN(30)
		payload := bytes.Repeat([]byte("x"), nth%4*10) // a place has one message
		rec := w.rec(fmt.Sprintf("t%d/x", topic), string(payload), store.Queue(nth%2), int64(nth*topics+topic))
		if rng.IntN(5) == 0 {
			rec = again(rec)
		}
		if w.append(rec); rng.IntN(3) == 0 && len(w.log) > 1 { // it comes twice
			w.append(w.log[len(w.log)-1-rng.IntN(2)].Data)
		}
		w.read(v)
	}
	var size, messages int64
	places := map[string]string{}
	check(t, view.Range(v.db, []byte{keyRetained}, []byte{keyRetained + 1}, func(_, value []byte) error {
		var e entry
		err := e.decode(value)
		messages, size = messages+1, size+int64(len(value))
		places[string(placeKey(e.rec.Position))] = e.rec.Topic
		return err
	}))
	if s := v.Stats(); messages == 0 || s.Messages.Load() != messages || s.Bytes.Load() != size {
		t.Errorf("%d messages of %d bytes are counted, there are %d of %d", s.Messages.Load(), s.Bytes.Load(), messages, size)
	}
	n := 0
	check(t, view.Range(v.db, []byte{keyPlace}, []byte{keyPlace + 1}, func(key, value []byte) error {
		if n++; places[string(key)] != string(value) {
			t.Errorf("%q is said to stand at %x", value, key[1:])
		}
		return nil
	}))
	if n != len(places) {
		t.Errorf("%d places for %d messages", n, len(places))
	}
}
