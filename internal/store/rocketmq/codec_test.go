package rocketmq

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const (
	testNode = "5f0c9a3e11d27b84"
	testKey  = "0A000007000118B4AAC2142B7FE80001"
)

// kept is a message as a broker hands it to readers, with what brokers add.
func kept(body []byte, props string) *message.Message {
	return &message.Message{
		Version: message.V1, QueueOffset: 17, PhysicalOffset: 4711, StoreTimestamp: 1_790_000_000_123, Body: body,
		BodyCRC: crc32.ChecksumIEEE(body) & math.MaxInt32, Topic: []byte("t1"),
		Properties: []byte(props + "CLUSTER\x01DefaultCluster\x02MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true"),
	}
}

// full has everything that a message can have.
func full() *store.Message {
	p := mqtt.Properties{
		HasPayloadFormat: true, PayloadFormat: 1, ContentType: []byte("text/plain"), ResponseTopic: []byte("t1/answers"),
		CorrelationData: []byte{0, 1, 2, 0xFF},
		User: []mqtt.UserProperty{
			{Key: []byte("DELAY"), Value: []byte("3")},
			{Key: []byte("DELAY"), Value: []byte("\x01\x02\"\\\n")},
			{Key: []byte(""), Value: []byte("")},
		},
	}
	return &store.Message{
		Topic: "/t1/a,b%/\u2605", Payload: []byte("hello"), QoS: 1, Retain: true, Origin: 0xDEADBEEF01, Expires: 1_790_000_060_000,
		Forward: p.Append(nil),
	}
}

// The bytes that are in the log of RocketMQ: other versions of this broker, Java's proxy and applications read them.
func TestPropertiesOfOneMessage(t *testing.T) {
	want := "" +
		"TAGS\x01MQTT_COMMON\x02" + // Java's constant: consumers select by it
		"retryTimes\x010\x02" + // Java's count of redeliveries
		"qosLevel\x011\x02" +
		"extData\x01{\"qosLevel\":\"1\"}\x02" + // Java's map of the rest: only this
		"IS_EMPTY_MSG\x01false\x02" +
		"mqttRetain\x011\x02" +
		"UNIQ_KEY\x01" + testKey + "\x02" +
		"mqttNode\x01" + testNode + "\x02" +
		"originMqttTopic\x01/t1/a,b%/\u2605\x02" + // not normalized, not escaped
		"mqttFrom\x01deadbeef01\x02" +
		"mqttExpires\x011790000060000\x02" +
		"payloadFormatIndicator\x011\x02" +
		"contentType\x01text/plain\x02" +
		"responseTopic\x01t1/answers\x02" +
		"correlationDataBase64\x01AAEC/w==\x02" + // not text, hence base64
		"userProperty\x01[{\"key\":\"DELAY\",\"value\":\"3\"}," + // in its order, twice, and no DELAY of RocketMQ's
		"{\"key\":\"DELAY\",\"value\":\"\\u0001\\u0002\\\"\\\\\\u000a\"},{\"key\":\"\",\"value\":\"\"}]\x02"
	var e encoder
	out, err := e.encode(full(), testNode, []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	if string(out.props) != want {
		t.Errorf("properties:\n got %q\nwant %q", out.props, want)
	}
	if string(out.body) != "hello" {
		t.Errorf("body %q", out.body)
	}
	for _, order := range []string{"DELAY", "INNER_MULTI_DISPATCH", "KEYS", "WAIT"} {
		if v, ok := message.Property(out.props, order); ok {
			t.Errorf("an order to the broker: %s %q", order, v)
		}
	}
}

func TestPropertiesOfTheLeast(t *testing.T) {
	want := "TAGS\x01MQTT_COMMON\x02retryTimes\x010\x02qosLevel\x010\x02extData\x01{\"qosLevel\":\"0\"}\x02IS_EMPTY_MSG\x01true\x02" +
		"UNIQ_KEY\x01" + testKey + "\x02mqttNode\x01" + testNode + "\x02originMqttTopic\x01t\x02"
	var e encoder
	out, err := e.encode(&store.Message{Topic: "t"}, testNode, []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	if string(out.props) != want {
		t.Errorf("properties:\n got %q\nwant %q", out.props, want)
	}
	if string(out.body) != "\xE2\x98\x85\r\n\t\xE2\x98\x80" { // U+2605 CR LF TAB U+2600
		t.Errorf("body of an empty payload: %q", out.body)
	}
}

// Consumers select by the tag of a message and find it by its key, where it says so; to MQTT clients it is a message as all others.
func TestTagAndKey(t *testing.T) {
	var e encoder
	m := &store.Message{Topic: "events/c%2F1", Payload: []byte("{}"), QoS: 1, Tag: "CLIENT_EVENT", Key: "c%2F1"}
	out, err := e.encode(m, testNode, []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	if want := "TAGS\x01CLIENT_EVENT\x02KEYS\x01c%2F1\x02retryTimes\x010\x02"; !strings.HasPrefix(string(out.props), want) {
		t.Errorf("properties:\n got %q\nwant %q first", out.props, want)
	}
	comesBack(t, &e, newDecoder(), m)
	if _, err := e.encode(&store.Message{Topic: "t", Tag: "a\x02DELAY\x013"}, testNode, []byte(testKey)); err == nil {
		t.Error("a tag becomes an order to the broker")
	}
}

// comesBack sends m through RocketMQ's properties and compares.
func comesBack(t *testing.T, e *encoder, d *decoder, m *store.Message) stored {
	t.Helper()
	out, err := e.encode(m, testNode, []byte(testKey))
	if err != nil {
		t.Fatalf("%q: %v", m.Topic, err)
	}
	got, err := d.decode(kept(bytes.Clone(out.body), string(out.props)))
	if err != nil {
		t.Fatalf("%q: %v", m.Topic, err)
	}
	same(t, &got.rec, m)
	if !got.ours || string(got.key) != testKey || got.at != 1_790_000_000_123 {
		t.Errorf("ours %t, key %q, at %d", got.ours, got.key, got.at)
	}
	return got
}

func same(t *testing.T, got *store.Record, want *store.Message) {
	t.Helper()
	if got.Topic != want.Topic || !bytes.Equal(got.Payload, want.Payload) || got.QoS != want.QoS || got.Retain != want.Retain ||
		got.Origin != want.Origin || got.Expires != want.Expires {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if !bytes.Equal(got.Forward, want.Forward) {
		t.Errorf("properties of %q:\n got %q\nwant %q", want.Topic, got.Forward, want.Forward)
	}
}

func TestMessagesComeBack(t *testing.T) {
	var e encoder
	d := newDecoder()
	comesBack(t, &e, d, full())
	for _, topic := range []string{
		"t1", "/", "//", "a/b/", "a,b/%LMQ%c", " ", "\x01", "a\x02b", "a\x01DELAY\x013\x02", "\u2605", "\uFFFD\uFFFF", "\U0001F680", "=",
		"%", strings.Repeat("x/", 100), strings.Repeat("long", 5_000),
	} {
		for qos := range byte(3) {
			comesBack(t, &e, d, &store.Message{Topic: topic, Payload: []byte(emptyBody), QoS: qos})
			comesBack(t, &e, d, &store.Message{Topic: topic, QoS: qos, Retain: true})
		}
	}
	for _, n := range []int64{1, -1, math.MaxInt64, math.MinInt64} {
		comesBack(t, &e, d, &store.Message{Topic: "t", Origin: uint64(n), Expires: n})
	}
	for _, text := range [][]byte{nil, {}, []byte("="), []byte("\x01"), []byte("AAAA"), []byte("\u0000\u00FF"), {0xFF, 0xFE}, []byte("[]")} {
		p := mqtt.Properties{CorrelationData: text, HasPayloadFormat: len(text)%2 == 0}
		if validString(text) {
			p.ContentType = text
			p.User = []mqtt.UserProperty{{Key: slices.Concat(text, []byte("k")), Value: text}, {Key: text, Value: text}}
			if len(text) > 0 {
				p.ResponseTopic = text
			}
		}
		comesBack(t, &e, d, &store.Message{Topic: "t", Forward: p.Append(nil)})
	}
}

// Where user properties stand between the others is not MQTT's to say, and is not kept; their own order is.
func TestOrderOfProperties(t *testing.T) {
	mixed := []byte{0x26, 0, 1, 'b', 0, 1, '1', 0x01, 1, 0x26, 0, 1, 'a', 0, 1, '2', 0x03, 0, 1, 'c'}
	var e encoder
	out, err := e.encode(&store.Message{Topic: "t", Forward: mixed}, testNode, []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	got, err := newDecoder().decode(kept(out.body, string(out.props)))
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x01, 1, 0x03, 0, 1, 'c', 0x26, 0, 1, 'b', 0, 1, '1', 0x26, 0, 1, 'a', 0, 1, '2'}
	if !bytes.Equal(got.rec.Forward, want) {
		t.Errorf("got %q, want %q", got.rec.Forward, want)
	}
}

func TestLimitOfProperties(t *testing.T) {
	var e encoder
	least, err := e.encode(&store.Message{Topic: "t"}, testNode, []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	rest := maxProperties - len(least.props) + 1
	for _, over := range []int{-1, 0, 1} {
		out, err := e.encode(&store.Message{Topic: strings.Repeat("x", rest+over)}, testNode, []byte(testKey))
		if over > 0 {
			if !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("%d bytes: %v, want ErrTooLarge", maxProperties+over, err)
			}
			continue
		}
		if err != nil || len(out.props) != maxProperties+over {
			t.Errorf("%d bytes: %d, %v", maxProperties+over, len(out.props), err)
		}
		again := appendAgain(out.props, resentAfter{offset: math.MinInt64, since: math.MinInt64})
		if len(again) > message.MaxProperties-500 { // what brokers add
			t.Errorf("%d bytes with mqttAfter", len(again))
		}
	}
	p := mqtt.Properties{CorrelationData: bytes.Repeat([]byte{0xFF}, 24_000)} // it is base64 that makes it too large
	many := mqtt.Properties{User: make([]mqtt.UserProperty, 1_400)}
	for name, m := range map[string]*store.Message{
		"correlation data": {Topic: "t", Forward: p.Append(nil)},
		"properties":       {Topic: "t", Forward: many.Append(nil)},
		"all":              {Topic: strings.Repeat("x", 65_535), Forward: make([]byte, 1<<20)},
	} {
		if _, err := e.encode(m, testNode, []byte(testKey)); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
	if _, err := e.encode(&store.Message{Topic: "t", Forward: []byte{99}}, testNode, []byte(testKey)); err == nil || errors.Is(err, store.ErrTooLarge) {
		t.Errorf("what is no Forward: %v", err)
	}
	comesBack(t, &e, newDecoder(), full()) // an error leaves nothing behind
}

func TestAgain(t *testing.T) {
	var e encoder
	d := newDecoder()
	for _, after := range []resentAfter{{}, {offset: 12345, since: 1_790_000_000_000}, {offset: -1, since: math.MaxInt64}} {
		out, err := e.encode(full(), testNode, []byte(testKey))
		if err != nil {
			t.Fatal(err)
		}
		before := string(out.props)
		got, err := d.decode(kept([]byte("hello"), string(appendAgain(out.props, after))))
		if err != nil || !got.again || got.after != after {
			t.Errorf("%+v: %t %+v, %v", after, got.again, got.after, err)
		}
		if string(out.props) != before {
			t.Error("the encoded properties changed")
		}
	}
	for _, bad := range []string{"1", "1,", ",1", "1,2,3", "a,b", "1 ,2"} {
		got, err := d.decode(kept(nil, "mqttAfter\x01"+bad+"\x02"))
		if err != nil || got.again || got.after != (resentAfter{}) {
			t.Errorf("%q: %t %+v, %v", bad, got.again, got.after, err)
		}
	}
}
