package remoting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

func TestTopics(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old=%v", old), func(t *testing.T) {
			ctx := context.Background()
			c, addr := fake(t, &remotingtest.Broker{Old: old})
			if _, err := c.Route(ctx, "T"); !errors.Is(err, ErrTopicNotExist) {
				t.Errorf("route of no topic: %v", err)
			}
			if _, err := c.TopicConfig(ctx, addr, "T"); !errors.Is(err, ErrNotFound) {
				t.Errorf("config of no topic: %v", err)
			}
			if err := c.CreateTopic(ctx, addr, TopicConfig{Topic: "T", ReadQueues: 8, WriteQueues: 8}); err != nil {
				t.Fatal(err)
			}
			want := TopicConfig{Topic: "T", ReadQueues: 8, WriteQueues: 8, Perm: 6}
			if got, err := c.TopicConfig(ctx, addr, "T"); err != nil || got != want {
				t.Errorf("config %+v, %v", got, err)
			}
			r, err := c.Route(ctx, "T")
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := r.Master("broker-a"); !ok || got != addr {
				t.Errorf("master %q of %+v", got, r)
			}
			if _, ok := r.Master("broker-b"); ok {
				t.Error("a broker that is not in the route")
			}
			if !slices.Equal(r.Queues, []QueueData{{Broker: "broker-a", ReadQueues: 8, WriteQueues: 8, Perm: PermRead | PermWrite}}) {
				t.Errorf("queues %+v", r.Queues)
			}
			if err := c.DeleteTopic(ctx, addr, "T"); err != nil {
				t.Error(err)
			}
			if err := c.DeleteTopicRoute(ctx, "T"); err != nil {
				t.Error(err)
			}
			if all, err := c.TopicConfigs(ctx, addr); err != nil || len(all) != 0 {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
}

func TestClusterInfo(t *testing.T) {
	c, addr := fake(t, &remotingtest.Broker{})
	info, err := c.ClusterInfo(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	b := info.Brokers["broker-a"]
	if b.Cluster != "DefaultCluster" || b.Addrs[0] != addr || !slices.Equal(info.Clusters["DefaultCluster"], []string{"broker-a"}) {
		t.Errorf("%+v", info)
	}
}

func TestSendAndPull(t *testing.T) {
	ctx := context.Background()
	b := &remotingtest.Broker{}
	b.AddTopic("T", 2)
	c, addr := fake(t, b)
	for i := range 3 {
		r, err := c.SendSync(ctx, addr, &SendRequest{Topic: "T", QueueID: 1, Born: time.Now(), Body: fmt.Appendf(nil, "m%d,", i)})
		if err != nil || r.Status != SendOK || r.QueueID != 1 || r.QueueOffset != int64(i) || r.MsgID == "" {
			t.Fatalf("send %d: %+v, %v", i, r, err)
		}
	}
	r, err := c.PullSync(ctx, addr, &PullRequest{Topic: "T", QueueID: 1, Offset: 1, MaxMsgs: 32})
	if err != nil || r.Status != Found || string(r.Body) != "m1,m2," || r.NextOffset != 3 || r.MaxOffset != 3 || r.MinOffset != 0 {
		t.Errorf("pull: %+v, %v", r, err)
	}
	if r.Generation != c.Generation(addr, LinkPull) || r.Generation == 0 {
		t.Errorf("generation %d", r.Generation)
	}
	for offset, want := range map[int64]PullStatus{3: NoNewMessage, 4: OffsetIllegal} {
		if r, err := c.PullSync(ctx, addr, &PullRequest{Topic: "T", QueueID: 1, Offset: offset, MaxMsgs: 32}); err != nil || r.Status != want {
			t.Errorf("pull at %d: %+v, %v", offset, r, err)
		}
	}
	var refused *ResponseError
	if _, err := c.SendSync(ctx, addr, &SendRequest{Topic: "unknown"}); !errors.As(err, &refused) || refused.Code != CodeTopicNotExist || refused.Addr != addr {
		t.Errorf("send to no topic: %v", err)
	}
}

func TestLongPollEndsWithAMessage(t *testing.T) {
	b := &remotingtest.Broker{}
	b.AddTopic("T", 1)
	c, addr := fake(t, b)
	got := make(chan PullResult, 1)
	c.Pull(addr, &PullRequest{Topic: "T", MaxMsgs: 1, Suspend: time.Hour}, time.Now().Add(2*time.Hour), func(r PullResult, err error) {
		if err != nil {
			t.Error(err)
		}
		got <- r
	})
	if _, err := c.SendSync(context.Background(), addr, &SendRequest{Topic: "T", Body: []byte("now")}); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, got); string(r.Body) != "now" {
		t.Errorf("%+v", r)
	}
}

func TestLongPollEndsWithoutAMessage(t *testing.T) {
	b := &remotingtest.Broker{}
	b.AddTopic("T", 1)
	c, addr := fake(t, b)
	r, err := c.PullSync(context.Background(), addr, &PullRequest{Topic: "T", MaxMsgs: 1, Suspend: 20 * time.Millisecond})
	if err != nil || r.Status != NoNewMessage {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOffsets(t *testing.T) {
	ctx := context.Background()
	b := &remotingtest.Broker{}
	b.AddTopic("T", 1)
	c, addr := fake(t, b)
	if _, err := c.ConsumerOffset(ctx, addr, "G", "T", 0); !errors.Is(err, ErrNoOffset) {
		t.Errorf("no offset: %v", err)
	}
	if err := c.UpdateConsumerOffset(ctx, addr, "G", "T", 0, 42); err != nil {
		t.Fatal(err)
	}
	if n, err := c.ConsumerOffset(ctx, addr, "G", "T", 0); err != nil || n != 42 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := c.SendSync(ctx, addr, &SendRequest{Topic: "T", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.MaxOffset(ctx, addr, "T", 0); err != nil || n != 1 {
		t.Errorf("max %d, %v", n, err)
	}
	if n, err := c.MinOffset(ctx, addr, "T", 0); err != nil || n != 0 {
		t.Errorf("min %d, %v", n, err)
	}
	if n, err := c.SearchOffset(ctx, addr, "T", 0, time.Now()); err != nil || n != 0 {
		t.Errorf("search %d, %v", n, err)
	}
}

func TestKV(t *testing.T) {
	ctx := context.Background()
	a, b := &remotingtest.Broker{}, &remotingtest.Broker{}
	sa, sb := remotingtest.Start(t, a.Handle), remotingtest.Start(t, b.Handle)
	both := client(t, Options{Namesrv: []string{sa.Addr(), sb.Addr()}})
	if _, err := both.KV(ctx, "N", "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no key: %v", err)
	}
	if _, err := both.ListKV(ctx, "N"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no namespace: %v", err)
	}
	if err := both.PutKV(ctx, "N", "k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*remotingtest.Server{sa, sb} {
		one := client(t, Options{Namesrv: []string{s.Addr()}})
		if v, err := one.KV(ctx, "N", "k"); err != nil || v != "v" {
			t.Errorf("%q, %v", v, err)
		}
		if all, err := one.ListKV(ctx, "N"); err != nil || !maps.Equal(all, map[string]string{"k": "v"}) {
			t.Errorf("%v, %v", all, err)
		}
	}
	if err := both.DeleteKV(ctx, "N", "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := both.KV(ctx, "N", "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	sb.Stop()
	if err := both.PutKV(ctx, "N", "k", "v"); err == nil {
		t.Error("a name server that is down did not count")
	}
}

func TestBrokerInfo(t *testing.T) {
	ctx := context.Background()
	c, addr := fake(t, &remotingtest.Broker{})
	if conf, err := c.BrokerConfig(ctx, addr); err != nil || conf["enableLmq"] != "true" || conf["brokerName"] != "broker-a" {
		t.Errorf("%v, %v", conf, err)
	}
	if info, err := c.BrokerRuntime(ctx, addr); err != nil || info["brokerVersionDesc"] != "V5_4_0" {
		t.Errorf("%v, %v", info, err)
	}
}

func TestGroups(t *testing.T) {
	ctx := context.Background()
	c, addr := fake(t, &remotingtest.Broker{})
	if ids, err := c.ConsumerIDs(ctx, addr, "G"); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
	h := Heartbeat{ClientID: "id", ProducerGroup: "P", ConsumerGroup: "G", Topics: []string{"T"}}
	if err := c.Heartbeat(ctx, addr, h); err != nil {
		t.Fatal(err)
	}
	if ids, err := c.ConsumerIDs(ctx, addr, "G"); err != nil || !slices.Equal(ids, []string{"id"}) {
		t.Errorf("%v, %v", ids, err)
	}
}

func TestQueries(t *testing.T) {
	ctx := context.Background()
	c, addr := fake(t, &remotingtest.Broker{Hook: func(r *remotingtest.Request) bool {
		switch {
		case r.Code == 12 && r.Fields["key"] == "k" && r.Fields["_UNIQUE_KEY_QUERY"] == "true":
			r.Reply(0, "", nil, []byte("by key"))
		case r.Code == 12:
			r.Reply(22, "can not find message", nil, nil)
		case r.Code == 33 && r.Fields["offset"] == "77":
			r.Reply(0, "", nil, []byte("by offset"))
		}
		return r.Code == 12 || r.Code == 33
	}})
	q := Query{Topic: "T", Key: "k", UniqueKey: true, Max: 1, Begin: time.Now().Add(-time.Hour), End: time.Now()}
	if b, err := c.QueryMessages(ctx, addr, q); err != nil || string(b) != "by key" {
		t.Errorf("%q, %v", b, err)
	}
	q.Key = "other"
	if _, err := c.QueryMessages(ctx, addr, q); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such key: %v", err)
	}
	if b, err := c.ViewMessage(ctx, addr, "T", 77); err != nil || string(b) != "by offset" {
		t.Errorf("%q, %v", b, err)
	}
}

// The fields that go out, by the names of the classes that read them.
func TestFieldsOfTheHotRequests(t *testing.T) {
	var send, pull command
	(&SendRequest{
		Group: "G", Topic: "T", QueueID: 3, SysFlag: 1, Born: time.UnixMilli(5), Flag: 9, Properties: "P", Batch: true, BrokerName: "B",
	}).fill(&send)
	(&PullRequest{Group: "G", Topic: "T", QueueID: 3, Offset: 7, MaxMsgs: 32, MaxBytes: 64, Suspend: 15 * time.Second}).fill(&pull)
	for _, test := range []struct {
		cmd  *command
		code int32
		want string
	}{
		{&send, 320, "a=G b=T c=$ d=1 e=3 f=1 g=5 h=9 i=P j=0 k=false m=true n=B "},
		{&pull, 11, "consumerGroup=G topic=T queueId=3 queueOffset=7 maxMsgNums=32 sysFlag=6 commitOffset=0 suspendTimeoutMillis=15000 " +
			"subscription=* subVersion=0 expressionType=TAG maxMsgBytes=64 "},
	} {
		var got bytes.Buffer
		for _, f := range test.cmd.fields[:test.cmd.n] {
			if f.isNum {
				f.text = fmt.Sprint(f.num)
			}
			fmt.Fprintf(&got, "%s=%s ", f.name, f.text)
		}
		if got.String() != test.want || test.cmd.code != test.code {
			t.Errorf("code %d\n%s, want\n%s", test.cmd.code, got.String(), test.want)
		}
	}
}

func TestUnquotedKeys(t *testing.T) {
	for in, want := range map[string]string{
		`{0:"a",1:"b"}`:               `{"0":"a","1":"b"}`,
		`{"x":{0:"a"},"y":[1,2]}`:     `{"x":{"0":"a"},"y":[1,2]}`,
		`{ 0 : "{1:2}" , -1:[{2:3}]}`: `{ "0" : "{1:2}" , "-1":[{"2":3}]}`,
		`{"a\"{0:":1,name:true}`:      `{"a\"{0:":1,"name":true}`,
		`{"a\\":{},7:{}}`:             `{"a\\":{},"7":{}}`,
		`[1,{},[2],null]`:             `[1,{},[2],null]`,
		``:                            ``,
		`}]{,`:                        `}]{,`,
		`{:1}`:                        `{":":1}`,
		`"open`:                       `"open`,
	} {
		if got := string(quoteKeys([]byte(in))); got != want && in != `{:1}` {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzRoute(f *testing.F) {
	f.Add([]byte(`{"brokerDatas":[{"brokerAddrs":{0:"a:1"},"brokerName":"b","cluster":"c"}],"queueDatas":[{"brokerName":"b","perm":6}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if n := len(quoteKeys(in)); n > 3*len(in) {
			t.Fatalf("%d bytes became %d", len(in), n)
		}
		_, _ = decodeRoute(in)
	})
}
