package rocketmq

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// What a RocketMQ application gives its message comes as user properties, and what RocketMQ, the Java proxy or a node wrote does not.
func TestForeignProperties(t *testing.T) {
	const named = "mqttTopic\x01t1/a\x02contentType\x01text/plain\x02correlationDataBase64\x01AQI=\x02messageExpiryInterval\x0160\x02"
	for props, want := range map[string][]string{
		"": nil,
		"region\x01eu\x02TAGS\x01a\x02KEYS\x01k\x02UNIQ_KEY\x01u\x02WAIT\x01true\x02order\x0117\x02": {"region", "eu", "order", "17"},
		named + "z\x011\x02a\x012\x02": {"z", "1", "a", "2"}, // as they stand in the message
		"DELAY\x013\x02__SHARDINGKEY\x01s\x02SHARDING_KEY\x01s\x02CORRELATION_ID\x01c\x02REPLY_TO_CLIENT\x01r\x02TTL\x013000\x02":    nil,
		"originMqttTopic\x01t1/a\x02qosLevel\x011\x02IS_EMPTY_MSG\x01false\x02retryTimes\x010\x02extData\x01{}\x02clientId\x01c\x02": nil,
		"tags\x01x\x02mqtt\x01y\x02":                                               {"tags", "x", "mqtt", "y"},
		"имя\x01\U0001F680\x02":                                                    {"имя", "\U0001F680"},
		"lines\x01a\nb\x02latin\x01\xE9\x02nul\x01\x00\x02":                        {"linesBase64", "YQpi", "latinBase64", "6Q==", "nulBase64", "AA=="},
		"c1\x01\u0085\x02":                                                         {"c1Base64", "woU="},
		"a\nb\x011\x02\xE9\x012\x02ok\x013\x02":                                    {"ok", "3"},
		"twice\x011\x02twice\x012\x02":                                             {"twice", "1", "twice", "2"},
		`userProperty` + "\x01" + `[{"key":"k","value":"v"}]` + "\x02own\x011\x02": {"k", "v", "own", "1"},
		"mqttNode\x01node-1\x02region\x01eu\x02":                                   nil, // ours has its user properties in userProperty
	} {
		got, err := newDecoder().decode(kept([]byte("x"), props))
		if err != nil {
			t.Errorf("%q: %v", props, err)
			continue
		}
		if users := usersOf(t, got.rec.Forward); fmt.Sprint(users) != fmt.Sprint(want) {
			t.Errorf("%q came as %q, want %q", props, users, want)
		}
	}
}

// usersOf lists names and values.
func usersOf(t *testing.T, forward []byte) (all []string) {
	t.Helper()
	var p mqtt.Properties
	if err := p.Decode(forward); err != nil {
		t.Fatalf("not MQTT: %v", err)
	}
	for _, u := range p.User {
		all = append(all, string(u.Key), string(u.Value))
	}
	return all
}

func TestForeignPropertiesAreLimited(t *testing.T) {
	d := newDecoder()
	got, err := d.decode(kept([]byte("x"), strings.Repeat("k\x01v\x02", maxForeign+1)))
	if n := len(usersOf(t, got.rec.Forward)) / 2; err != nil || n != maxForeign {
		t.Errorf("%d user properties, %v", n, err)
	}
	got, err = d.decode(kept([]byte("x"), "k\x01"+strings.Repeat("\n", 32_000)+"\x02"))
	if users := usersOf(t, got.rec.Forward); err != nil || len(users) != 2 || len(users[1]) != 42_668 {
		t.Errorf("the longest value that base64 makes longer: %d strings, %v", len(users), err)
	}
}

// What a record has is not that of the message after it, nor does the decoder keep a message for its properties.
func TestForeignPropertiesLive(t *testing.T) {
	d := newDecoder()
	m := kept([]byte("x"), "k\x01first\x02")
	first, err := d.decode(m)
	if err != nil {
		t.Fatal(err)
	}
	copy(m.Properties, bytes.Repeat([]byte("y"), len(m.Properties)))
	if _, err := d.decode(kept([]byte("x"), "k\x01other\x02")); err != nil {
		t.Fatal(err)
	}
	if users := usersOf(t, first.rec.Forward); fmt.Sprint(users) != "[k first]" {
		t.Errorf("the first message's properties became %q", users)
	}
	for _, u := range d.five.User[:cap(d.five.User)] {
		if u.Key != nil || u.Value != nil {
			t.Errorf("%q=%q is kept", u.Key, u.Value)
		}
	}
}
