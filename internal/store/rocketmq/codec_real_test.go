package rocketmq

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// difficult are messages that a store of text properties might not give back as they were.
func difficult() []*store.Message {
	five := func(p mqtt.Properties) []byte { return p.Append(nil) }
	longest := strings.Repeat("x", maxProperties-len("originMqttTopic\x01\x02")-len(commonProps+alwaysProps+qos1Props+notEmptyProps)-
		len("UNIQ_KEY\x01\x02mqttNode\x01\x02"+testKey+testNode))
	return []*store.Message{
		full(),
		{Topic: "real/empty", QoS: 2},
		{Topic: longest, Payload: []byte("x"), QoS: 1}, // exactly maxProperties; destroys what follows if that is too much
		{Topic: "a,b/%LMQ%c,\u2605/\U0001F680/\uFFFF/\x7F\x1F", Payload: []byte(emptyBody)},
		{Topic: "a\x01DELAY\x013\x02INNER_MULTI_DISPATCH\x01%LMQ%x", Payload: []byte("x"), QoS: 1},
		{Topic: "real/five", Payload: []byte{0}, QoS: 1, Forward: five(mqtt.Properties{
			ContentType: []byte("\x00"[:0]), ResponseTopic: []byte("\x02"), CorrelationData: []byte("\x00\u0080\u07FF"),
			User: []mqtt.UserProperty{{Key: []byte("TIMER_DELAY_SEC"), Value: []byte("9")}, {}, {Key: []byte("\x01\x02")}},
		})},
		{Topic: "real/last", Payload: bytes.Repeat([]byte{1, 2}, 50_000), QoS: 1, Origin: math.MaxUint64, Expires: math.MaxInt64},
	}
}

// What is sent comes back from RocketMQ itself as it was, in a batch and with the property that a second sending adds.
func TestRealMessagesComeBack(t *testing.T) {
	cluster := shared.Cluster(t)
	if cluster == nil {
		return // no JDK; said by the kit, and a failure with CI=true
	}
	client, err := remoting.New(remoting.Options{Namesrv: []string{cluster.Namesrv()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	addr := cluster.Broker(0).Addr
	if err := client.CreateTopic(ctx, addr, remoting.TopicConfig{Topic: "real", ReadQueues: 1, WriteQueues: 1}); err != nil {
		t.Fatal(err)
	}
	var e encoder
	var batch []byte
	after := resentAfter{offset: math.MaxInt64, since: math.MaxInt64}
	for _, m := range difficult() {
		out := mustEncode(t, &e, m, []byte(testKey))
		if batch, err = message.AppendBatchEntry(batch, 0, out.body, appendAgain(out.props, after)); err != nil {
			t.Fatal(err)
		}
	}
	send := &remoting.SendRequest{Topic: "real", Born: time.Now(), Body: batch, Batch: true}
	if _, err := client.SendSync(ctx, addr, send); err != nil {
		t.Fatal(err)
	}
	got := pullAll(ctx, t, client, addr, len(difficult()))
	d := newDecoder()
	for i, want := range difficult() {
		st, err := d.decode(&got[i])
		if err != nil {
			t.Fatal(err)
		}
		same(t, &st.rec, want)
		if !st.ours || !st.again || st.after != after || string(st.key) != testKey || time.Since(time.UnixMilli(st.at)).Abs() > time.Hour {
			t.Errorf("%.50q: ours %t, again %t %+v, key %q, at %d", want.Topic, st.ours, st.again, st.after, st.key, st.at)
		}
	}
}

// pullAll reads the first n messages of the topic "real".
func pullAll(ctx context.Context, t *testing.T, client *remoting.Client, addr string, n int) []message.Message {
	t.Helper()
	var all []message.Message
	for len(all) < n {
		res, err := client.PullSync(ctx, addr, &remoting.PullRequest{
			Group: "codec", Topic: "real", Offset: int64(len(all)), MaxMsgs: 32, Suspend: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		for rest := res.Body; len(rest) > 0; {
			var m message.Message
			if m, rest, err = message.Decode(rest); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	return all
}
