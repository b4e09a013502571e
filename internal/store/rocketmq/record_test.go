package rocketmq

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
)

func TestTopicOfWhatOthersWrote(t *testing.T) {
	const real = `extData` + "\x01" + `{"qosLevel":"0", "mqttRealTopic" : "real\/x"}` + "\x02"
	d := newDecoder()
	for props, want := range map[string]string{
		"":                            "t1",
		"originMqttTopic\x01t1/a\x02": "t1/a",
		"originMqttTopic\x01t1/a\x02originMqttTopic\x01t1/b\x02":                      "t1/b", // the last one counts
		"originMqttTopic\x01t1/a\x02mqttTopic\x01other\x02" + real:                    "other",
		"originMqttTopic\x01t1/a\x02" + real:                                          "real/x",
		"originMqttTopic\x01t1/a\x02extData\x01{\"mqttRealTopic\":1}\x02":             "t1/a",
		"originMqttTopic\x01t1/a\x02extData\x01{\"mqttRealTopic\":\"x\"\x02":          "t1/a",
		"originMqttTopic\x01t1/a\x02extData\x01{\"mqttRealTopic\":\"x\"} y\x02":       "t1/a",
		"originMqttTopic\x01t1/a\x02extData\x01[\"mqttRealTopic\"]\x02":               "t1/a",
		"originMqttTopic\x01t1/a\x02originMqttTopicBase64\x01AWI=\x02":                "\x01b",
		"originMqttTopicBase64\x01no base64\x02":                                      "t1",
		"originMqttTopic\x01t1/+\x02":                                                 "t1",
		"originMqttTopic\x01t1/#\x02":                                                 "t1",
		"originMqttTopic\x01\xFF\x02":                                                 "t1",
		"originMqttTopic\x01a\x00\x02":                                                "t1",
		"mqttTopic\x01#\x02originMqttTopic\x01t1/a\x02":                               "t1",
		"originMqttTopic\x01" + strings.Repeat("/", 200) + "\x02":                     "t1",
		"extData\x01{\"mqttRealTopic\":\"\\uD83D\\uDE80\\u00e9\\b\\f\\n\\r\\t\"}\x02": "\U0001F680\u00e9\b\f\n\r\t",

		"INNER_MULTI_DISPATCH\x01%LMQ%t1%r1%\x02":                                   "t1/r1",
		"INNER_MULTI_DISPATCH\x01%LMQ%t1\x02":                                       "t1",
		"INNER_MULTI_DISPATCH\x01%LMQ%%t1%r1%\x02":                                  "/t1/r1",
		"INNER_MULTI_DISPATCH\x01%LMQ%t1%r1%,%LMQ%t1%+%,%LMQ%t1%#%\x02":             "t1/r1",
		"INNER_MULTI_DISPATCH\x01%LMQ%t1%+%,%LMQ%t1%a%,%LMQ%t1%b%\x02":              "t1/b", // the last one, as in Java
		"INNER_MULTI_DISPATCH\x01%LMQ%t1%+%\x02":                                    "t1",
		"INNER_MULTI_DISPATCH\x01%LMQ%%p2p%c%\x02":                                  "/p2p/c/",
		"INNER_MULTI_DISPATCH\x01%LMQ%%p2p%c%\x02originMqttTopic\x01t1/p2p/c/x\x02": "t1/p2p/c/x",
		"INNER_MULTI_DISPATCH\x01%LMQ%t1%r1%\x02originMqttTopic\x01t1/a\x02" + real: "real/x",
		"INNER_MULTI_DISPATCH\x01,\x02":                                             "t1",
		"INNER_MULTI_DISPATCH\x01%LMQ%%retry%c%,%LMQ%t1%r1%\x02":                    "t1/r1", // not a retry alone
		"INNER_MULTI_DISPATCH\x01%\x02":                                             "/",
	} {
		got, err := d.decode(kept([]byte("x"), props))
		if err != nil || got.rec.Topic != want || got.ours {
			t.Errorf("%q: %q, ours %t, %v; want %q", props, got.rec.Topic, got.ours, err, want)
		}
	}
	m := kept(nil, "")
	m.Topic = nil
	if _, err := d.decode(m); !errors.Is(err, errNoTopic) {
		t.Errorf("no topic at all: %v", err)
	}
}

// What a client of a Java proxy has not acknowledged is sent to it once more by way of the log. All others have had it.
func TestRetriesOfJavaProxiesAreTheirs(t *testing.T) {
	m := kept([]byte("x"), "INNER_MULTI_DISPATCH\x01%LMQ%%retry%c%\x02INNER_MULTI_QUEUE_OFFSET\x010\x02originMqttTopic\x01t1/a\x02retryTimes\x011\x02")
	if got, err := newDecoder().decode(m); !errors.Is(err, errRetry) {
		t.Errorf("%q, %v", got.rec.Topic, err)
	}
}

// A record as a Java proxy has stored it on 5.1.4 (section 2 of its contract).
func TestRecordOfAJavaProxy(t *testing.T) {
	props := "MSG_REGION\x01DefaultRegion\x02INNER_MULTI_DISPATCH\x01%LMQ%t1%+%,%LMQ%t1%a%\x02INNER_MULTI_QUEUE_OFFSET\x013,0\x02UNIQ_KEY\x017F00000100002A139A1674F6C9E20000\x02" +
		"CLUSTER\x01DefaultCluster\x02IS_EMPTY_MSG\x01true\x02qosLevel\x012\x02extData\x01{\"qosLevel\":\"2\"}\x02originMqttTopic\x01t1/a\x02retryTimes\x010\x02TAGS\x01MQTT_COMMON\x02TRACE_ON\x01true\x02"
	got, err := newDecoder().decode(kept([]byte(emptyBody), props))
	r := got.rec
	if err != nil || got.ours || r.Topic != "t1/a" || r.QoS != 2 || len(r.Payload) != 0 || r.Retain || r.Origin != 0 || r.Expires != 0 || r.Forward != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatOthersLeftOut(t *testing.T) {
	d := newDecoder()
	got, err := d.decode(kept([]byte("x"), ""))
	r := got.rec
	if err != nil || r.QoS != 1 || r.Retain || r.Origin != 0 || r.Expires != 0 || r.Forward != nil || got.key != nil {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = d.decode(kept([]byte("x"), "qosLevel\x017\x02mqttFrom\x01z\x02mqttExpires\x01soon\x02mqttRetain\x01true\x02"))
	if err != nil || got.rec.QoS != 1 || got.rec.Retain || got.rec.Origin != 0 || got.rec.Expires != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = d.decode(kept([]byte("x"), "messageExpiryInterval\x0160\x02"))
	if err != nil || got.rec.Expires != got.at+60_000 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A RocketMQ application may write MQTT 5 properties: what MQTT does not allow is left out, and nothing else with it.
func TestForwardOfWhatOthersWrote(t *testing.T) {
	d := newDecoder()
	for props, want := range map[string]mqtt.Properties{
		"payloadFormatIndicator\x012\x02":                             {},
		"contentType\x01\xFF\x02responseTopic\x01a/#\x02":             {},
		"responseTopicBase64\x01=\x02contentTypeBase64\x01=\x02":      {ContentType: []byte{}},
		"correlationDataBase64\x01?\x02contentTypeBase64\x01AA==\x02": {},
		"correlationData\x01abc\x02responseTopic\x01r\x02":            {CorrelationData: []byte("abc"), ResponseTopic: []byte("r")},
		"userProperty\x01[]\x02":                                      {},
		`userProperty` + "\x01" + ` [ { "value" : "2" , "key" : "1" } , { } ] ` + "\x02": {
			User: []mqtt.UserProperty{{Key: []byte("1"), Value: []byte("2")}, {}},
		},
		"userProperty\x01[{\"key\":\"\\u0000\"}]\x02":                        {},
		"userProperty\x01[{\"key\":\"\\ud83d\"}]\x02":                        {},
		"userProperty\x01[{\"key\":\"\\ud83d\\u0041\"}]\x02":                 {},
		"userProperty\x01[{\"key\":\"\xFF\"}]\x02":                           {},
		"userProperty\x01[{\"KEY\":\"a\"}]\x02":                              {},
		"userProperty\x01[{\"key\":\"a\"},]\x02":                             {},
		"userProperty\x01[{\"key\":\"a\"}]]\x02":                             {},
		"userProperty\x01[{\"key\":\"a\"}\x02":                               {},
		"userProperty\x01[{\"key\":\"a\\\x02":                                {},
		"userProperty\x01[{\"key\":\"\\u12\x02":                              {},
		"userProperty\x01[{\"key\":\"\\x41\"}]\x02":                          {},
		"userProperty\x01{\"key\":\"a\"}\x02payloadFormatIndicator\x010\x02": {HasPayloadFormat: true},
	} {
		got, err := d.decode(kept([]byte("x"), props))
		if err != nil || !bytes.Equal(got.rec.Forward, want.Append(nil)) {
			t.Errorf("%q: %q, %v; want %q", props, got.rec.Forward, err, want.Append(nil))
		}
	}
}

func TestBodies(t *testing.T) {
	d := newDecoder()
	m := kept([]byte("payload"), "")
	got, err := d.decode(m)
	if err != nil || unsafe.SliceData(got.rec.Payload) != unsafe.SliceData(m.Body) {
		t.Errorf("the payload is not the body: %q, %v", got.rec.Payload, err)
	}
	m.BodyCRC++
	if _, err := d.decode(m); !errors.Is(err, message.ErrCRC) {
		t.Errorf("wrong CRC: %v", err)
	}

	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write([]byte("payload")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m = kept(z.Bytes(), "")
	m.SysFlag = message.Compressed
	if got, err = d.decode(m); err != nil || string(got.rec.Payload) != "payload" {
		t.Errorf("compressed: %q, %v", got.rec.Payload, err)
	}
	m = kept([]byte("not zlib"), "")
	m.SysFlag = message.Compressed
	if _, err := d.decode(m); !errors.Is(err, message.ErrCompression) {
		t.Errorf("not decompressible: %v", err)
	}

	m = kept([]byte("x"), "")
	m.SysFlag = message.InnerBatch | message.NeedUnwrap
	if _, err := d.decode(m); !errors.Is(err, errBatch) {
		t.Errorf("a batch: %v", err)
	}

	for value, want := range map[string]string{"true": "", "TRUE": "", "false": emptyBody, "1": emptyBody} {
		if got, err := d.decode(kept([]byte(emptyBody), "IS_EMPTY_MSG\x01"+value+"\x02")); err != nil || string(got.rec.Payload) != want {
			t.Errorf("IS_EMPTY_MSG %s: %q, %v", value, got.rec.Payload, err)
		}
	}
}

// What a record has is not written over by the messages that follow it.
func TestRecordsLive(t *testing.T) {
	var e encoder
	d := newDecoder()
	first := comesBack(t, &e, d, full())
	other := full()
	other.Topic, other.Forward = "\x01", (&mqtt.Properties{ContentType: []byte("\x01\x01\x01\x01\x01\x01\x01\x01")}).Append(nil)
	comesBack(t, &e, d, other)
	same(t, &first.rec, full())
}

func TestInternedTopics(t *testing.T) {
	d := newDecoder()
	a, b := d.intern([]byte("t1/a")), d.intern([]byte("t1/a"))
	if a != "t1/a" || unsafe.StringData(a) != unsafe.StringData(b) {
		t.Error("one topic, two strings")
	}
	for i := range 10_000 {
		name := base64.StdEncoding.EncodeToString([]byte{byte(i), byte(i >> 8)})
		if got := d.intern([]byte(name)); got != name {
			t.Fatalf("%q became %q", name, got)
		}
	}
	if long := strings.Repeat("x", internMax+1); d.intern([]byte(long)) != long {
		t.Error("a long one changed")
	}
}
