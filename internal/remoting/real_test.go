package remoting

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// TestReal asks RocketMQ itself everything that this package can ask.
func TestReal(t *testing.T) {
	acl := &rocketmqtest.ACL{AccessKey: "rocketmqtt", SecretKey: "12345678"}
	for name, o := range map[string]rocketmqtest.Options{
		"5.4.0":         {Version: rocketmqtest.V540},
		"5.4.0-ACL-TLS": {Version: rocketmqtest.V540, ACL: acl, TLS: rocketmqtest.TLSEnforcing},
		"4.9.7-ACL":     {Version: rocketmqtest.V497, ACL: acl},
	} {
		t.Run(name, func(t *testing.T) {
			if !rocketmqtest.Have(t, o.Version) {
				return
			}
			r := &realBroker{t: t, cluster: rocketmqtest.Start(t, o)}
			r.options = Options{Namesrv: []string{r.cluster.Namesrv()}, TLS: r.cluster.ClientTLS()}
			if o.ACL != nil {
				r.options.Credentials = Credentials{AccessKey: acl.AccessKey, SecretKey: acl.SecretKey}
			}
			r.c, r.addr = client(t, r.options), r.cluster.Broker(0).Addr
			r.old = strings.HasPrefix(o.Version, "4.")
			t.Run("topics", r.topics)
			t.Run("messages", r.messages)
			t.Run("kv", r.kv)
			t.Run("broker", r.info)
			t.Run("groups", r.groups)
			t.Run("offsets", r.offsets)
			if o.ACL != nil {
				t.Run("access", r.access)
			}
			t.Run("restart", r.restart)
		})
	}
}

// realBroker is a broker that runs.
type realBroker struct {
	t       *testing.T
	cluster *rocketmqtest.Cluster
	options Options
	c       *Client
	addr    string
	old     bool // 4.9
}

// topic makes a topic, and waits for its route.
func (r *realBroker) topic(t *testing.T, name string, queues int32) {
	t.Helper()
	ctx := context.Background()
	if err := r.c.CreateTopic(ctx, r.addr, TopicConfig{Topic: name, ReadQueues: queues, WriteQueues: queues}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a route of "+name, func() bool { _, err := r.c.Route(ctx, name); return err == nil })
}

// send sends, again while the broker is busy, which it is on a machine with more to do.
func (r *realBroker) send(t *testing.T, m *SendRequest) (res SendResult, err error) {
	t.Helper()
	m.Born = time.Now()
	eventually(t, "a send that finds the broker ready", func() bool {
		res, err = r.c.SendSync(context.Background(), r.addr, m)
		var refused *ResponseError
		return !errors.As(err, &refused) || !refused.Retriable()
	})
	return res, err
}

func (r *realBroker) topics(t *testing.T) {
	ctx := context.Background()
	if _, err := r.c.Route(ctx, "absent"); !errors.Is(err, ErrTopicNotExist) {
		t.Errorf("route of no topic: %v", err)
	}
	if _, err := r.c.TopicConfig(ctx, r.addr, "absent"); !errors.Is(err, ErrNotFound) {
		t.Errorf("config of no topic: %v", err)
	}
	r.topic(t, "topics", 3)
	route, err := r.c.Route(ctx, "topics")
	if err != nil {
		t.Fatal(err)
	}
	if len(route.Queues) != 1 || route.Queues[0].WriteQueues != 3 || route.Queues[0].ReadQueues != 3 || route.Queues[0].Perm != PermRead|PermWrite {
		t.Errorf("%+v", route)
	}
	if addr, ok := route.Master(route.Queues[0].Broker); !ok || addr != r.addr {
		t.Errorf("master %q, want %q", addr, r.addr)
	}
	want := TopicConfig{Topic: "topics", ReadQueues: 3, WriteQueues: 3, Perm: PermRead | PermWrite}
	if got, err := r.c.TopicConfig(ctx, r.addr, "topics"); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	all, err := r.c.TopicConfigs(ctx, r.addr)
	if err != nil || all["topics"] != want || len(all) < 3 {
		t.Errorf("%d topics, %+v, %v", len(all), all["topics"], err)
	}
	info, err := r.c.ClusterInfo(ctx)
	if err != nil || info.Brokers[route.Queues[0].Broker].Addrs[0] != r.addr || len(info.Clusters) != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := r.c.DeleteTopic(ctx, r.addr, "topics"); err != nil {
		t.Error(err)
	}
	if err := r.c.DeleteTopicRoute(ctx, "topics"); err != nil {
		t.Error(err)
	}
	if _, err := r.c.TopicConfig(ctx, r.addr, "topics"); !errors.Is(err, ErrNotFound) {
		t.Errorf("config of a deleted topic: %v", err)
	}
}

func (r *realBroker) messages(t *testing.T) {
	ctx := context.Background()
	r.topic(t, "messages", 2)
	key := "7F0000010001" + strconv.FormatInt(time.Now().UnixNano(), 16)
	m := &SendRequest{
		Topic: "messages", QueueID: 1, Body: []byte("the body é"),
		Properties: "UNIQ_KEY\x01" + key + "\x02KEYS\x01k1\x02",
	}
	sent, err := r.send(t, m)
	if err != nil || sent.Status != SendOK || sent.QueueID != 1 || sent.QueueOffset != 0 || len(sent.MsgID) != 32 {
		t.Fatalf("%+v, %v", sent, err)
	}
	var got PullResult
	eventually(t, "the message in its queue", func() bool {
		got, err = r.c.PullSync(ctx, r.addr, &PullRequest{Topic: "messages", QueueID: 1, MaxMsgs: 32})
		return err == nil && got.Status == Found
	})
	if !bytes.Contains(got.Body, m.Body) || got.NextOffset != 1 || got.MaxOffset != 1 || got.MinOffset != 0 {
		t.Errorf("%+v", got)
	}
	for offset, want := range map[int64]PullStatus{1: NoNewMessage, 5: OffsetIllegal} {
		if got, err := r.c.PullSync(ctx, r.addr, &PullRequest{Topic: "messages", QueueID: 1, Offset: offset, MaxMsgs: 1}); err != nil || got.Status != want {
			t.Errorf("pull at %d: %+v, %v", offset, got, err)
		}
	}
	logOffset, err := strconv.ParseInt(sent.MsgID[16:], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.c.ViewMessage(ctx, r.addr, "messages", logOffset); err != nil || !bytes.Contains(b, m.Body) {
		t.Errorf("view: %d bytes, %v", len(b), err)
	}
	for _, q := range []Query{{Key: "k1"}, {Key: key, UniqueKey: true}} {
		q.Topic, q.Max, q.Begin, q.End = "messages", 8, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		var b []byte
		eventually(t, "the message in the index", func() bool {
			b, err = r.c.QueryMessages(ctx, r.addr, q)
			return !errors.Is(err, ErrNotFound)
		})
		if err != nil || !bytes.Contains(b, m.Body) {
			t.Errorf("query %+v: %d bytes, %v", q, len(b), err)
		}
	}
	r.longPoll(t)
	r.batch(t)
	r.refusedSends(t)
	r.pipeline(t)
}

func (r *realBroker) longPoll(t *testing.T) {
	polled := make(chan PullResult, 1)
	r.c.Pull(r.addr, &PullRequest{Topic: "messages", QueueID: 0, MaxMsgs: 1, Suspend: 10 * time.Second}, time.Now().Add(patience), func(p PullResult, _ error) { polled <- p })
	if _, err := r.send(t, &SendRequest{Topic: "messages", Body: []byte("wakes it")}); err != nil {
		t.Fatal(err)
	}
	if p := receive(t, polled); p.Status != Found || !bytes.Contains(p.Body, []byte("wakes it")) {
		t.Errorf("%+v", p)
	}
}

// batch sends two messages in one, as MessageDecoder.encodeMessages writes them: size, magic, CRC and flag, of which the first is read, the
// lengths of body and properties before them.
func (r *realBroker) batch(t *testing.T) {
	var body []byte
	for _, text := range []string{"one of two", "two of two"} {
		b := binary.BigEndian.AppendUint32(nil, uint32(22+len(text)))
		b = binary.BigEndian.AppendUint32(append(b, make([]byte, 12)...), uint32(len(text)))
		body = append(body, append(append(b, text...), 0, 0)...)
	}
	got, err := r.send(t, &SendRequest{Topic: "messages", Batch: true, QueueID: 1, Body: body})
	if err != nil || got.Status != SendOK || got.QueueOffset != 1 || len(got.MsgID) != 32 {
		t.Errorf("%+v, %v", got, err)
	}
	eventually(t, "both messages in the queue", func() bool {
		p, err := r.c.PullSync(context.Background(), r.addr, &PullRequest{Topic: "messages", QueueID: 1, Offset: 1, MaxMsgs: 32})
		return err == nil && bytes.Contains(p.Body, []byte("one of two")) && bytes.Contains(p.Body, []byte("two of two"))
	})
}

func (r *realBroker) refusedSends(t *testing.T) {
	ctx := context.Background()
	var refused *ResponseError
	if _, err := r.send(t, &SendRequest{Topic: "absent", Body: []byte("x")}); !errors.As(err, &refused) || refused.Code != CodeTopicNotExist {
		t.Errorf("send to no topic: %v", err)
	}
	if _, err := r.c.TopicConfig(ctx, r.addr, "absent"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the send made the topic: %v", err)
	}
	if _, err := r.send(t, &SendRequest{Topic: "messages", QueueID: 7, Body: []byte("x")}); !errors.As(err, &refused) || refused.Retriable() {
		t.Errorf("send to no queue: %v", err)
	} else {
		t.Logf("send to no queue: %v", err)
	}
	if _, err := r.c.call(ctx, r.addr, &command{code: 200049}); err != nil {
		t.Errorf("a request with a JSON header: %v", err)
	}
}

// pipeline sends many at once: their offsets come in the order of the calls, one queue after one.
func (r *realBroker) pipeline(t *testing.T) {
	const n = 500
	r.topic(t, "pipeline", 1)
	ch := make(chan sent, n)
	for i := range n {
		m := &SendRequest{Topic: "pipeline", Born: time.Now(), Body: fmt.Appendf(nil, "message %d", i)}
		r.c.Send(r.addr, m, time.Now().Add(patience), func(res SendResult, err error) { ch <- sent{i, res, err} })
	}
	var offsets []int64
	busy := 0
	for range n {
		got := receive(t, ch)
		var refused *ResponseError
		switch {
		case errors.As(got.err, &refused) && refused.Retriable():
			busy++ // a machine with more to do
		case got.err != nil:
			t.Errorf("send %d: %v", got.n, got.err)
		default:
			offsets = append(offsets, got.result.QueueOffset)
		}
	}
	slices.Sort(offsets)
	for i, o := range offsets {
		if o != int64(i) {
			t.Fatalf("offset %d at place %d", o, i)
		}
	}
	t.Logf("%d of %d were refused as busy", busy, n)
}

func (r *realBroker) offsets(t *testing.T) {
	ctx := context.Background()
	r.topic(t, "offsets", 1)
	before := time.Now()
	for range 3 {
		if _, err := r.send(t, &SendRequest{Topic: "offsets", Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three messages", func() bool { n, err := r.c.MaxOffset(ctx, r.addr, "offsets", 0); return err == nil && n == 3 })
	if n, err := r.c.MinOffset(ctx, r.addr, "offsets", 0); err != nil || n != 0 {
		t.Errorf("min %d, %v", n, err)
	}
	if n, err := r.c.SearchOffset(ctx, r.addr, "offsets", 0, before); err != nil || n != 0 {
		t.Errorf("by time %d, %v", n, err)
	}
	n, err := r.c.SearchOffset(ctx, r.addr, "offsets", 0, time.Now().Add(time.Hour))
	t.Logf("offset of an hour from now, of 3 messages: %d, %v", n, err)
	n, err = r.c.MaxOffset(ctx, r.addr, "absent", 0)
	t.Logf("max offset of no topic: %d, %v", n, err)
	const group = "members" // 5.x refuses offsets of groups that it does not know, code 26: Heartbeat makes this one
	n, err = r.c.ConsumerOffset(ctx, r.addr, group, "offsets", 0)
	if (!r.old && !errors.Is(err, ErrNoOffset)) || (r.old && err == nil && n != 0) {
		t.Errorf("no offset: %d, %v", n, err)
	}
	if err := r.c.UpdateConsumerOffset(ctx, r.addr, group, "offsets", 0, 2); err != nil {
		t.Fatal(err)
	}
	if n, err := r.c.ConsumerOffset(ctx, r.addr, group, "offsets", 0); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
}

func (r *realBroker) kv(t *testing.T) {
	ctx := context.Background()
	if _, err := r.c.KV(ctx, "N", "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no key: %v", err)
	}
	if _, err := r.c.ListKV(ctx, "N"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no namespace: %v", err)
	}
	if err := r.c.PutKV(ctx, "N", "k", "v,\"é"); err != nil {
		t.Fatal(err)
	}
	if v, err := r.c.KV(ctx, "N", "k"); err != nil || v != "v,\"é" {
		t.Errorf("%q, %v", v, err)
	}
	if all, err := r.c.ListKV(ctx, "N"); err != nil || all["k"] != "v,\"é" {
		t.Errorf("%v, %v", all, err)
	}
	if err := r.c.DeleteKV(ctx, "N", "k"); err != nil {
		t.Error(err)
	}
	if err := r.c.DeleteKV(ctx, "N", "k"); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := r.c.KV(ctx, "N", "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func (r *realBroker) info(t *testing.T) {
	ctx := context.Background()
	if conf, err := r.c.BrokerConfig(ctx, r.addr); err != nil || conf["brokerName"] != "broker-a" || conf["waitTimeMillsInSendQueue"] == "" {
		t.Errorf("%d properties, %v", len(conf), err)
	}
	version := "V" + strings.ReplaceAll(r.cluster.Version(), ".", "_")
	var info map[string]string
	eventually(t, "the broker's runtime info", func() bool { // 4.9.7 fails before its first sample of itself (StoreStatsService)
		var err error
		info, err = r.c.BrokerRuntime(ctx, r.addr)
		return err == nil
	})
	if info["brokerVersionDesc"] != version {
		t.Errorf("version %q, want %s", info["brokerVersionDesc"], version)
	}
}

func (r *realBroker) groups(t *testing.T) {
	ctx := context.Background()
	if ids, err := r.c.ConsumerIDs(ctx, r.addr, "members"); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
	h := Heartbeat{ClientID: "client@1", ProducerGroup: "producers", ConsumerGroup: "members", Topics: []string{"messages"}}
	if err := r.c.Heartbeat(ctx, r.addr, h); err != nil {
		t.Fatal(err)
	}
	if ids, err := r.c.ConsumerIDs(ctx, r.addr, "members"); err != nil || !slices.Equal(ids, []string{"client@1"}) {
		t.Errorf("%v, %v", ids, err)
	}
}

// access: unsigned requests, and those signed with another secret, are refused.
func (r *realBroker) access(t *testing.T) {
	for name, cred := range map[string]Credentials{
		"unsigned":     {},
		"wrong secret": {AccessKey: r.options.Credentials.AccessKey, SecretKey: "87654321"},
		"wrong key":    {AccessKey: "nobody", SecretKey: r.options.Credentials.SecretKey},
	} {
		o := r.options
		o.Credentials = cred
		_, err := client(t, o).SendSync(context.Background(), r.addr, &SendRequest{Topic: "messages", Body: []byte("x")})
		var refused *ResponseError
		if !errors.As(err, &refused) || refused.Retriable() {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// restart: what is pending when the broker is killed fails, and the client finds it again.
func (r *realBroker) restart(t *testing.T) {
	ctx := context.Background()
	r.topic(t, "restart", 1)
	if _, err := r.send(t, &SendRequest{Topic: "restart", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { n, err := r.c.MaxOffset(ctx, r.addr, "restart", 0); return err == nil && n == 1 })
	polled := make(chan error, 1)
	r.c.Pull(r.addr, &PullRequest{Topic: "restart", Offset: 1, MaxMsgs: 1, Suspend: time.Minute}, time.Now().Add(2*time.Minute), func(_ PullResult, err error) {
		polled <- err
	})
	if _, err := r.c.PullSync(ctx, r.addr, &PullRequest{Topic: "restart", MaxMsgs: 1}); err != nil {
		t.Fatal(err) // over the same link: the long poll is on its way
	}
	before := r.c.Generation(r.addr, LinkPull)
	if err := r.cluster.Broker(0).Kill(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, polled); !errors.Is(err, ErrUnknown) {
		t.Errorf("the long poll: %v", err)
	}
	if _, err := r.c.MaxOffset(ctx, r.addr, "restart", 0); err == nil {
		t.Error("a dead broker answered")
	}
	if err := r.cluster.Broker(0).Start(); err != nil {
		t.Fatal(err)
	}
	var got PullResult
	var err error
	eventually(t, "a pull", func() bool {
		got, err = r.c.PullSync(ctx, r.addr, &PullRequest{Topic: "restart", MaxMsgs: 1})
		return err == nil
	})
	if got.Generation <= before {
		t.Errorf("generation %d after %d", got.Generation, before)
	}
}
