package local

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// A message body of any flags decodes within itself or is refused, and what decodes is encoded to the same bytes.
func FuzzMessage(f *testing.F) {
	for _, m := range []store.Message{
		{Topic: "a/b", Payload: []byte("payload"), QoS: 1},
		{Topic: "t", QoS: 2, Retain: true, Origin: 7, Expires: 9, Forward: []byte{1, 2}, Client: "c", PacketID: 3},
		{},
	} {
		form := formMessage(&m, 1)
		rec := make([]byte, form.h.size())
		form.write(rec, &m, 1)
		f.Add(form.h.flags, form.h.topicLen, rec[recordHeader:])
	}
	f.Add(flagOrigin|flagExpires|flagForward|flagClient, uint16(1), []byte{1, 2, 3})                   // fixed parts cut short
	f.Add(flagForward, uint16(0), []byte{0xFF, 0xFF, 0xFF, 0xFF, 'a'})                                 // a length that is not there
	f.Add(flagClient, uint16(0xFFFF), append([]byte{0xFF, 0xFF, 0, 1}, bytes.Repeat([]byte{0}, 9)...)) // names that are not there
	f.Fuzz(func(t *testing.T, flags byte, topicLen uint16, body []byte) {
		h := header{kind: kindMessage, flags: flags, topicLen: topicLen, length: uint32(len(body))}
		var p messageParts
		var err error
		storetest.Bounded(t, len(body), 1, func() { p, err = parseMessage(&h, body) })
		topic := messageTopic(&h, body)
		if err != nil {
			return
		}
		if p.rec.Topic != topic {
			t.Errorf("the topic is %q by itself and %q in the message", topic, p.rec.Topic)
		}
		m := store.Message{
			Topic: p.rec.Topic, Payload: p.rec.Payload, QoS: p.rec.QoS, Retain: p.rec.Retain, Origin: p.rec.Origin, Expires: p.rec.Expires,
			Forward: p.rec.Forward, Client: p.client, PacketID: p.packetID,
		}
		form := formMessage(&m, 1)
		if form.h.flags != flags { // an optional part that is there and empty
			return
		}
		rec := make([]byte, form.h.size())
		form.write(rec, &m, 1)
		if !bytes.Equal(rec[recordHeader:], body) || !form.h.bodyOK(body, 1) {
			t.Errorf("%x was encoded to %x", body, rec[recordHeader:])
		}
	})
}

// The values of the view decode or are refused.
func FuzzView(f *testing.F) {
	f.Add(viewState{next: 1, durable: 2, run: 3, sessions: 4}.encode())
	f.Add([]byte{indexVersion, 64, 0, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		storetest.Bounded(t, len(b), 100, func() {
			new(viewState).decode(b) //nolint:errcheck,gosec // any answer will do
			if e, ok := parseIndex(b); ok {
				w := blocks.Compile([]string{"a", "b/+"})
				w.MayBeIn(e.topics)
			}
		})
	})
}

const fuzzSalt = 7

// segmentOf is a segment whose records have the right checksums and the content that a script says: for each kind,
// flags, topic length 2, length 2, body.
func segmentOf(script []byte) []byte {
	seg := segment{salt: fuzzSalt, prevBase: -1}
	out := seg.appendHeader(nil)
	for offset := int64(0); len(script) >= 6; offset++ {
		le := binary.LittleEndian
		h := header{kind: script[0], flags: script[1], topicLen: le.Uint16(script[2:]), offset: offset, time: 1_700_000_000_000}
		n := min(int(le.Uint16(script[4:])), len(script)-6)
		body := script[6 : 6+n]
		script = script[6+n:]
		h.length, h.bodyCRC = uint32(n), crc32.Update(fuzzSalt, castagnoli, body)
		rec := make([]byte, recordHeader)
		h.put(rec, fuzzSalt)
		out = append(append(out, rec...), body...)
	}
	return out
}

// script is the input of segmentOf for some records.
func script(kinds []byte, bodies [][]byte) []byte {
	var out []byte
	for i, body := range bodies {
		out = append(out, kinds[i], 0, 0, 0)
		out = binary.LittleEndian.AppendUint16(out, uint16(len(body)))
		out = append(out, body...)
	}
	return out
}

// tryLog opens a log of one segment and uses it. It opens, or is refused; nothing else.
func tryLog(t *testing.T, file []byte) {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data/log", 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("data/log/"+segmentName(0), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: "data", FS: fs, DiskReserve: -1, CheckInterval: time.Hour, RecentBytes: -1})
	if err != nil {
		return
	}
	s.Load("c")                     //nolint:errcheck,gosec // any answer will do
	s.Groups()                      //nolint:errcheck,gosec // any answer will do
	s.Expired(time.UnixMilli(1), 9) //nolint:errcheck,gosec // any answer will do
	for from := int64(0); ; {
		recs, next, _, err := s.Read(store.Position{Offset: from}, nil, 1000)
		if err == nil && next <= from {
			break
		}
		if next <= from || len(recs) > len(file) {
			t.Fatalf("read from %d: %d records, next %d, error %v", from, len(recs), next, err)
		}
		from = next
	}
	w := waiter{done: make(chan error, 1)}
	s.Append(&store.Message{Topic: "t", QoS: 1}, &w, 0)
	if err := <-w.done; err != nil {
		t.Errorf("a log that was opened takes no message: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Records that are whole, whatever they say, are applied when a log is opened, or refuse it.
func FuzzReplay(f *testing.F) {
	var kinds []byte
	var bodies [][]byte
	for _, c := range storetest.Changes() {
		kinds, bodies = append(kinds, kindChange), append(bodies, view.AppendChange(nil, &c))
	}
	f.Add(script(kinds, bodies))
	f.Add(script([]byte{kindStart, kindChange, kindStart}, [][]byte{nil, bodies[0], nil}))
	f.Add(script([]byte{kindMessage, 99}, [][]byte{[]byte("payload"), nil})) // a kind that is not known
	f.Add([]byte{kindMessage, flagClient | 2, 1, 0, 6, 0, 1, 0, 5, 0, 't', 'c'})
	f.Fuzz(func(t *testing.T, b []byte) { tryLog(t, segmentOf(b)) })
}

// A file of any content is a log, with its end cut off, or refused.
func FuzzSegment(f *testing.F) {
	whole := segmentOf(script([]byte{kindStart, kindMessage, kindMessage}, [][]byte{nil, []byte("one"), []byte("two")}))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:segmentHeader])
	f.Add(append(bytes.Clone(whole), make([]byte, 100)...))
	f.Add(append(bytes.Clone(whole), "unfinished"...))
	torn := bytes.Clone(whole)
	torn[segmentHeader+8] ^= 1
	f.Add(torn)
	f.Add(make([]byte, 200))
	f.Fuzz(func(t *testing.T, b []byte) { tryLog(t, b) })
}
