package rocketmq

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

const (
	maxBody    = 16 << 20 // of a decompressed body, bytes
	internSize = 256      // topics that a decoder keeps
	internMax  = 256      // longest topic that it keeps, bytes
)

// What is wrong with messages that nobody can be given.
var (
	errNoTopic = errors.New("no valid MQTT topic name")
	errBatch   = errors.New("a batch that stands for one message: the topic's queue.type is BatchCQ, which is not supported")
)

// stored is a message that was read. rec and key alias the message it was decoded from, unless that was compressed.
type stored struct {
	rec   store.Record // Position is the caller's to fill
	key   []byte       // UNIQ_KEY; nil when it has none
	ours  bool         // a node of this project wrote it
	again bool         // it was sent more than once: a copy may be before it
	retry bool         // a Java proxy has written it for one client of its own to have once more: everybody else has had it
	after resentAfter  // where, with again
	at    int64        // when the broker stored it, Unix ms of its clock
}

// decoder turns messages of RocketMQ into records. It is for one goroutine. It keeps up to internSize topics, so that
// messages of the same topic share its string, and buffers of up to twice the properties of one message, 64 KiB.
type decoder struct {
	bodies *message.Decompressor
	topics [internSize]string // by hash; the latest takes the place
	five   mqtt.Properties
	arena  []byte // values of one message that had to be decoded; never grown while there are any
	wire   []byte // MQTT 5 properties of one message
}

func newDecoder() *decoder {
	d, err := message.NewDecompressor(maxBody)
	if err != nil {
		panic(err) // maxBody is a constant
	}
	return &decoder{bodies: d}
}

// decode reads a message, ours or any other: a Java proxy's, a RocketMQ application's. An error says that it cannot be
// delivered, ever: its body is not what was stored or cannot be decompressed, or there is no topic to deliver it with. Whatever
// else is wrong is left out, since a message must not be lost for that. With an error the result is the zero value.
func (d *decoder) decode(m *message.Message) (stored, error) {
	st, err := d.decodeAny(m)
	if err == nil && st.retry {
		return stored{}, fmt.Errorf("message at physical offset %d: %w", m.PhysicalOffset, errRetry)
	}
	return st, err
}

// decodeAny is decode, also for what only one client of a Java proxy is to have.
func (d *decoder) decodeAny(m *message.Message) (stored, error) {
	if m.SysFlag.Wrapped() {
		return stored{}, fmt.Errorf("message at physical offset %d: %w", m.PhysicalOffset, errBatch)
	}
	if err := m.CheckCRC(); err != nil {
		return stored{}, err
	}
	body, err := d.bodies.Body(m)
	if err != nil {
		return stored{}, err
	}
	d.arena = slices.Grow(d.arena[:0], len(m.Properties))
	var f fields
	f.read(m.Properties)
	name, err := d.topic(&f, m)
	if err != nil {
		return stored{}, err
	}
	if bytes.EqualFold(f.empty, []byte("true")) { // Boolean.parseBoolean
		body = nil
	}
	s := stored{key: f.key, ours: len(f.node) > 0, retry: onlyRetry(f.dispatch), at: m.StoreTimestamp}
	s.rec = store.Record{
		Topic: name, Payload: body, QoS: f.qosLevel(), Retain: string(f.retain) == "1",
		Origin: f.publisher(), Expires: f.expiry(m), Forward: d.forward(&f, m.Properties),
	}
	if f.after != nil {
		s.after, s.again = parseAfter(f.after)
	}
	return s, nil
}

// fields are the values of the properties that count, as they are in the message; nil when absent.
type fields struct {
	key, node, wish, origin, origin64, ext, qos, empty []byte
	dispatch                                           []byte
	from, expires, interval, retain, after             []byte
	format, content, content64, response, response64   []byte
	correlation, correlation64, user                   []byte
}

// read finds them. Of several of one name the last one counts, as in Java. A value is never empty.
func (f *fields) read(props []byte) {
	for name, value, rest, ok := message.Next(props); ok; name, value, rest, ok = message.Next(rest) {
		if to := f.place(name); to != nil {
			*to = value
		}
	}
}

func (f *fields) place(name []byte) *[]byte {
	switch string(name) {
	case propUniqKey:
		return &f.key
	case propNode:
		return &f.node
	case propWish:
		return &f.wish
	case propTopic:
		return &f.origin
	case propTopic + inBase64:
		return &f.origin64
	case propDispatch:
		return &f.dispatch
	case propExt:
		return &f.ext
	case propQoS:
		return &f.qos
	case propEmpty:
		return &f.empty
	case propFrom:
		return &f.from
	case propExpires:
		return &f.expires
	case propRetain:
		return &f.retain
	case propAfter:
		return &f.after
	}
	return f.mqtt5(name)
}

func (f *fields) mqtt5(name []byte) *[]byte {
	switch string(name) {
	case propInterval:
		return &f.interval
	case propPayloadFormat:
		return &f.format
	case propContentType:
		return &f.content
	case propContentType + inBase64:
		return &f.content64
	case propResponseTopic:
		return &f.response
	case propResponseTopic + inBase64:
		return &f.response64
	case propCorrelation:
		return &f.correlation
	case propCorrelation + inBase64:
		return &f.correlation64
	case propUser:
		return &f.user
	}
	return nil
}

// qosLevel is the QoS that the message was published with. RocketMQ's own messages have none, and are not to be lost: 1.
func (f *fields) qosLevel() byte {
	if len(f.qos) == 1 && f.qos[0] >= '0' && f.qos[0] <= '2' {
		return f.qos[0] - '0'
	}
	return 1
}

// expiry is when the message expires, Unix ms; 0 is never.
func (f *fields) expiry(m *message.Message) int64 {
	if f.expires != nil {
		ms, err := strconv.ParseInt(string(f.expires), 10, 64)
		if err != nil {
			return 0
		}
		return ms
	}
	if f.interval == nil {
		return 0
	}
	if seconds, err := strconv.ParseUint(string(f.interval), 10, 32); err == nil {
		return m.StoreTimestamp + int64(seconds)*1000
	}
	return 0
}

// publisher is store.Message.Origin.
func (f *fields) publisher() uint64 {
	if f.from == nil {
		return 0 // an error of strconv costs an allocation
	}
	n, err := strconv.ParseUint(string(f.from), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// topic is the name that the message is to be delivered with: what an application wished, what was published, or else, also
// when that is no name that MQTT allows, the RocketMQ topic that it is in.
func (d *decoder) topic(f *fields, m *message.Message) (string, error) {
	name := d.named(f)
	if !validTopic(name) {
		name = m.Topic
	}
	if !validTopic(name) {
		return "", fmt.Errorf("message at physical offset %d, topic %.200q: %w", m.PhysicalOffset, name, errNoTopic)
	}
	return d.intern(name), nil
}

// named is the topic that the properties name. mqttRealTopic before originMqttTopic before the light queues is Java's order (PushAction).
func (d *decoder) named(f *fields) []byte {
	if f.wish != nil {
		return f.wish
	}
	if f.origin64 != nil {
		name, _ := d.decode64(f.origin64)
		return name
	}
	if bytes.Contains(f.ext, []byte(extRealTopic)) {
		if name, ok := jsonMember(d.keep(f.ext), extRealTopic); ok {
			return name
		}
	}
	if f.origin == nil {
		return lmqTopic(f.dispatch, d.keep)
	}
	return f.origin
}

func validTopic(name []byte) bool { return topic.ValidName(name) && utf8.Valid(name) }

// intern is string(name), without an allocation when it was asked for before and no other has taken its place.
func (d *decoder) intern(name []byte) string {
	if len(name) > internMax {
		return string(name)
	}
	at := &d.topics[xxhash.Sum64(name)%internSize]
	if *at != string(name) {
		*at = string(name)
	}
	return *at
}

// keep is a copy of value that lives until the next message and may be written to.
func (d *decoder) keep(value []byte) []byte {
	from := len(d.arena)
	d.arena = append(d.arena, value...)
	return d.arena[from:len(d.arena):len(d.arena)]
}

// decode64 reads a value that stands in base64. It lives until the next message and is not nil.
func (d *decoder) decode64(value []byte) ([]byte, bool) {
	if string(value) == emptyBase64 {
		return []byte{}, true
	}
	from := len(d.arena)
	out, err := base64.StdEncoding.AppendDecode(d.arena, value) // takes less room than value, which d.arena has
	if err != nil {
		return nil, false
	}
	d.arena = out
	return out[from:len(out):len(out)], true
}

// forward is the message's MQTT 5 properties in wire form, in memory of their own; nil when it has none. A value that MQTT does not
// allow is left out. props are all that the message has.
func (d *decoder) forward(f *fields, props []byte) []byte {
	p := &d.five
	*p = mqtt.Properties{User: p.User[:0]}
	if string(f.format) == "0" || string(f.format) == "1" {
		p.HasPayloadFormat, p.PayloadFormat = true, f.format[0]-'0'
	}
	if v := d.value(f.content, f.content64); validString(v) {
		p.ContentType = v
	}
	if v := d.value(f.response, f.response64); len(v) > 0 && validString(v) && !bytes.ContainsAny(v, "+#") {
		p.ResponseTopic = v
	}
	p.CorrelationData = d.value(f.correlation, f.correlation64)
	if f.user != nil {
		p.User = readUsers(p.User, d.keep(f.user))
	}
	if f.node == nil {
		p.User = f.foreign(p.User, props)
	}
	d.wire = p.Append(d.wire[:0])
	clear(p.User) // or they would keep the message alive
	if len(d.wire) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(d.wire)), d.wire...)
}

// value is that of a property that stands as text or in base64; nil when it is absent or not base64.
func (d *decoder) value(text, encoded []byte) []byte {
	if encoded == nil {
		return text
	}
	v, _ := d.decode64(encoded)
	return v
}

// validString tells whether b may be a string of MQTT [MQTT-1.5.4-1] [MQTT-1.5.4-2]. Nothing in a message's properties is too long
// for that.
func validString(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }
