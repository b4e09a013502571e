package rocketmq

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// Whatever MQTT allows comes back as it was, and becomes no property that a broker acts on.
func FuzzMessages(f *testing.F) {
	m := full()
	f.Add(m.Topic, m.Payload, m.QoS, m.Retain, m.Origin, m.Expires, m.Forward)
	f.Add("\x01DELAY\x013\x02", []byte(emptyBody), byte(0), false, uint64(0), int64(-1), []byte(nil))
	f.Add("t", []byte(nil), byte(2), true, uint64(1), int64(0), []byte("\x26\x00\x05DELAY\x00\x02\x01\x02\x03\x00\x00\x09\x00\x01\xFF"))
	f.Fuzz(func(t *testing.T, name string, payload []byte, qos byte, retain bool, origin uint64, expires int64, forward []byte) {
		if !topic.ValidName(name) || !utf8.ValidString(name) {
			return
		}
		m := &store.Message{
			Topic: name, Payload: payload, QoS: qos % 3, Retain: retain, Origin: origin, Expires: expires, Forward: forward,
		}
		var e encoder
		out, err := e.encode(m, testNode, []byte(testKey))
		var p mqtt.Properties
		bad := p.Decode(forward)
		if errors.Is(err, store.ErrTooLarge) {
			return
		}
		if (err == nil) != (bad == nil) {
			t.Fatalf("encode: %v; Forward: %v", err, bad)
		}
		if err != nil {
			return
		}
		onlyOurs(t, out.props)
		m.Forward = p.Append(nil)
		comesBack(t, &e, newDecoder(), m)
	})
}

// onlyOurs fails when a property is there that is not in the table of properties.go.
func onlyOurs(t *testing.T, props []byte) {
	t.Helper()
	seen := map[string]bool{}
	for name, value, rest, ok := message.Next(props); ok; name, value, rest, ok = message.Next(rest) {
		n := string(name)
		var f fields
		if n != propTags && n != propRetries && f.place(name) == nil || seen[n] {
			t.Fatalf("property %q: %q", name, value)
		}
		seen[n] = true
	}
}

// Of whatever is in RocketMQ a record is made that can be delivered, or an error.
func FuzzRecords(f *testing.F) {
	var e encoder
	out, err := e.encode(full(), testNode, []byte(testKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(appendAgain(out.props, resentAfter{offset: 1, since: 2})), []byte("x"), int32(0))
	f.Add([]byte(`userProperty`+"\x01"+`[{"key":"\ud83d\ude80","value":"\n"} , {}]`+"\x02"), []byte("x"), int32(message.Compressed))
	f.Add([]byte(`extData`+"\x01"+`{"mqttRealTopic":"a"}`), []byte("\x28\xb5\x2f\xfd"), int32(message.Compressed|2<<8))
	f.Add([]byte("originMqttTopicBase64\x01=\x02contentTypeBase64\x01=\x02correlationDataBase64\x01AA=\x02"), []byte("x"), int32(message.InnerBatch))
	f.Add([]byte("own\x01a\nb\x02TAGS\x01t\x02\xE9\x011\x02"), []byte("x"), int32(0))
	f.Fuzz(func(t *testing.T, props, body []byte, flags int32) {
		m := kept(body, string(props[:min(len(props), message.MaxProperties)]))
		m.SysFlag = message.SysFlag(flags)
		before := bytes.Clone(m.Properties)
		got, err := newDecoder().decode(m)
		if !bytes.Equal(m.Properties, before) {
			t.Fatal("the message was written to")
		}
		if err != nil {
			return
		}
		if !validTopic([]byte(got.rec.Topic)) || got.rec.QoS > 2 {
			t.Fatalf("%+v", got.rec)
		}
		var p mqtt.Properties
		var why *mqtt.Error
		if err := p.Decode(got.rec.Forward); err != nil && (!errors.As(err, &why) || why.Code != mqtt.QuotaExceeded) {
			t.Fatalf("properties %q: %v", got.rec.Forward, err)
		}
	})
}
