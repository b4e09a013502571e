package retained

import (
	"encoding/binary"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// What is fixed in a record.
const (
	version = 1

	flagQoS   byte = 3
	flagAgain byte = 4

	atFlags  = 1
	atQueue  = 2
	atOffset = 10
	atOrigin = 18
	fixed    = 26
)

// record is one, decoded. Payload aliases what it was decoded from.
type record struct {
	store.Record
	time  int64 // when it was published, Unix milliseconds
	again bool
}

// SizeOf is the most that the record of m takes, bytes.
func SizeOf(m *store.Message) int {
	return fixed + 4*binary.MaxVarintLen64 + len(m.Topic) + len(m.Forward) + len(m.Payload)
}

// AppendRecord appends the record of m, which is published now, Unix milliseconds. Place says later where the message stands.
func AppendRecord(b []byte, m *store.Message, now int64) []byte {
	b = append(b, version, m.QoS&flagQoS)
	b = append(b, make([]byte, atOrigin-atQueue)...)
	b = binary.BigEndian.AppendUint64(b, m.Origin)
	b = binary.AppendVarint(b, m.Expires)
	b = binary.AppendVarint(b, now)
	b = view.AppendString(b, m.Topic)
	b = view.AppendBytes(b, m.Forward)
	return append(b, m.Payload...)
}

// Place says where the message of a record stands.
func Place(rec []byte, at store.Position) {
	binary.BigEndian.PutUint64(rec[atQueue:], uint64(at.Queue))
	binary.BigEndian.PutUint64(rec[atOffset:], uint64(at.Offset))
}

// decode reads b.
func (r *record) decode(b []byte) error {
	if len(b) < fixed || b[0] != version {
		return fmt.Errorf("a record of %d bytes, of a version that is not known: %w", len(b), store.ErrCorrupt)
	}
	r.QoS, r.again, r.Retain = b[atFlags]&flagQoS, b[atFlags]&flagAgain != 0, true
	r.Queue = store.Queue(binary.BigEndian.Uint64(b[atQueue:]))
	r.Offset = int64(binary.BigEndian.Uint64(b[atOffset:]))
	r.Origin = binary.BigEndian.Uint64(b[atOrigin:])
	d := view.Decoder{B: b[fixed:]}
	r.Expires, r.time, r.Topic, r.Forward = d.Int(), d.Int(), d.String(), d.Bytes()
	if d.Err != nil {
		return fmt.Errorf("%w: %w", d.Err, store.ErrCorrupt)
	}
	if len(d.B) > 0 {
		r.Payload = d.B[:len(d.B):len(d.B)]
	}
	return nil
}

// isOver says that the message has expired at now, Unix milliseconds. keep is how long it is kept at most, in milliseconds; 0: no limit.
func (r *record) isOver(now, keep int64) bool {
	return r.Expires != 0 && now > r.Expires || keep > 0 && now-r.time > keep
}

// TopicOf is the topic of a record that the view has returned.
func TopicOf(rec []byte) string {
	var r record
	if err := r.decode(rec); err != nil {
		return "" // it was decoded before
	}
	return r.Topic
}
