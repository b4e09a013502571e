package remotingtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"
)

// Broker is a name server and a broker in one, in memory; its zero value is ready. Handle is its Handler. Exported fields are set before it
// has the first request.
type Broker struct {
	Name string // of the broker; "": broker-a
	Old  bool   // answers as 4.9 does: unquoted keys in routes, no GET_TOPIC_CONFIG, offset 0 where none is stored
	// Hook sees each request first, and says whether that was all.
	Hook func(*Request) bool
	// Stored makes the stored form of a message, which pulls answer; nil: the body as it was sent.
	Stored func(r *Request, offset int64) []byte

	mu      sync.Mutex
	due     []func()                      // replies to write when the lock is free
	addr    string                        // of the broker, for routes
	topics  map[string]int                // queues
	queues  map[string][][]byte           // by topic and queue
	offsets map[string]int64              // by group, topic and queue
	kv      map[string]map[string]string  // by namespace
	held    map[string]map[*held]struct{} // suspended pulls by topic and queue
	groups  map[string]map[string]bool    // client ids by consumer group
}

// held is a pull that waits for a message.
type held struct {
	r     *Request
	timer *time.Timer
}

// At says which address routes name as this broker's.
func (b *Broker) At(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addr = addr
}

// AddTopic makes a topic.
func (b *Broker) AddTopic(topic string, queues int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	put(&b.topics, topic, queues)
}

// Queue is what was sent to a queue.
func (b *Broker) Queue(topic string, id int) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([][]byte(nil), b.queues[queueKey(topic, strconv.Itoa(id))]...)
}

func queueKey(topic, id string) string { return topic + "\x00" + id }

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

// Handle answers a request.
func (b *Broker) Handle(r *Request) {
	if b.Hook != nil && b.Hook(r) {
		return
	}
	b.locked(func() { b.dispatch(r) })
}

// locked runs f, and then writes the replies that it has made.
func (b *Broker) locked(f func()) {
	b.mu.Lock()
	f()
	due := b.due
	b.due = nil
	b.mu.Unlock()
	for _, write := range due {
		write()
	}
}

// reply answers r when the lock is free.
func (b *Broker) reply(r *Request, code int32, remark string, fields map[string]string, body []byte) {
	frame := r.Encode(code, remark, fields, body)
	b.due = append(b.due, func() { r.Conn.Write(frame) })
}

func (b *Broker) dispatch(r *Request) {
	f := r.Fields
	switch r.Code {
	case 10, 310, 320:
		b.send(r)
	case 11:
		b.pull(r)
	case 14:
		b.queryOffset(r)
	case 15:
		n, _ := strconv.ParseInt(f["commitOffset"], 10, 64)
		put(&b.offsets, f["consumerGroup"]+"\x00"+queueKey(f["topic"], f["queueId"]), n)
		b.reply(r, 0, "", nil, nil)
	case 17:
		n, _ := strconv.Atoi(f["readQueueNums"])
		put(&b.topics, f["topic"], n)
		b.reply(r, 0, "", nil, nil)
	case 29, 31:
		b.reply(r, 0, "", map[string]string{"offset": "0"}, nil)
	case 30:
		b.reply(r, 0, "", map[string]string{"offset": strconv.Itoa(len(b.queues[queueKey(f["topic"], f["queueId"])]))}, nil)
	case 34, 38:
		b.group(r)
	case 100, 101, 102, 219:
		b.keyValue(r)
	case 21, 105, 106, 215, 216, 351:
		b.topic(r)
	case 26:
		b.reply(r, 0, "", nil, []byte("brokerName="+b.name()+"\nenableLmq=true\n"))
	case 28:
		b.reply(r, 0, "", nil, []byte(`{"table":{"brokerVersionDesc":"V5_4_0","bootTimestamp":"1"}}`))
	default:
		b.unsupported(r)
	}
}

func (b *Broker) unsupported(r *Request) {
	b.reply(r, 3, fmt.Sprintf(" request type %d not supported", r.Code), nil, nil)
}

func (b *Broker) name() string {
	if b.Name == "" {
		return "broker-a"
	}
	return b.Name
}

func (b *Broker) send(r *Request) {
	topic, id := r.Fields["b"], r.Fields["e"]
	n, _ := strconv.Atoi(id)
	switch queues, ok := b.topics[topic]; {
	case !ok:
		b.reply(r, 17, "topic["+topic+"] not exist", nil, nil)
		return
	case n >= queues:
		b.reply(r, 1, "request queueId["+id+"] is illegal", nil, nil)
		return
	}
	key := queueKey(topic, id)
	offset := int64(len(b.queues[key]))
	stored := r.Body
	if b.Stored != nil {
		stored = b.Stored(r, offset)
	}
	put(&b.queues, key, append(b.queues[key], stored))
	b.reply(r, 0, "", map[string]string{"msgId": "7F000001" + fmt.Sprintf("%024X", offset), "queueId": id, "queueOffset": strconv.FormatInt(offset, 10)}, nil)
	for h := range b.held[key] {
		delete(b.held[key], h)
		h.timer.Stop()
		b.answerPull(h.r)
	}
}

func (b *Broker) pull(r *Request) {
	key := queueKey(r.Fields["topic"], r.Fields["queueId"])
	offset, _ := strconv.Atoi(r.Fields["queueOffset"])
	flag, _ := strconv.Atoi(r.Fields["sysFlag"])
	if offset != len(b.queues[key]) || flag&2 == 0 {
		b.answerPull(r)
		return
	}
	ms, _ := strconv.Atoi(r.Fields["suspendTimeoutMillis"])
	h := &held{r: r}
	h.timer = time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
		b.locked(func() {
			if _, ok := b.held[key][h]; ok {
				delete(b.held[key], h)
				b.answerPull(r)
			}
		})
	})
	if b.held[key] == nil {
		put(&b.held, key, make(map[*held]struct{}))
	}
	b.held[key][h] = struct{}{}
}

func (b *Broker) answerPull(r *Request) {
	queue := b.queues[queueKey(r.Fields["topic"], r.Fields["queueId"])]
	offset, _ := strconv.Atoi(r.Fields["queueOffset"])
	count, _ := strconv.Atoi(r.Fields["maxMsgNums"])
	code, next := int32(0), offset
	var body []byte
	switch {
	case offset > len(queue) || offset < 0:
		code, next = 21, len(queue)
	case offset == len(queue):
		code = 19
	default:
		for _, m := range queue[offset:min(offset+count, len(queue))] {
			body = append(body, m...)
			next++
		}
	}
	b.reply(r, code, "", map[string]string{
		"nextBeginOffset": strconv.Itoa(next), "minOffset": "0", "maxOffset": strconv.Itoa(len(queue)), "suggestWhichBrokerId": "0",
	}, body)
}

func (b *Broker) queryOffset(r *Request) {
	n, ok := b.offsets[r.Fields["consumerGroup"]+"\x00"+queueKey(r.Fields["topic"], r.Fields["queueId"])]
	if !ok && !b.Old {
		b.reply(r, 22, "Not found, maybe this group consumer boot first", nil, nil)
		return
	}
	b.reply(r, 0, "", map[string]string{"offset": strconv.FormatInt(n, 10)}, nil)
}

func (b *Broker) group(r *Request) {
	if r.Code == 34 {
		var h struct {
			ClientID        string
			ConsumerDataSet []struct{ GroupName string }
		}
		if err := json.Unmarshal(r.Body, &h); err != nil {
			b.reply(r, 1, err.Error(), nil, nil)
			return
		}
		for _, g := range h.ConsumerDataSet {
			if b.groups[g.GroupName] == nil {
				put(&b.groups, g.GroupName, make(map[string]bool))
			}
			b.groups[g.GroupName][h.ClientID] = true
		}
		b.reply(r, 0, "", nil, nil)
		return
	}
	members := b.groups[r.Fields["consumerGroup"]]
	if len(members) == 0 {
		b.reply(r, 1, "no consumer for this group, "+r.Fields["consumerGroup"], nil, nil)
		return
	}
	var ids []string
	for id := range members {
		ids = append(ids, id)
	}
	b.replyJSON(r, map[string]any{"consumerIdList": ids})
}

func (b *Broker) keyValue(r *Request) {
	space, key := r.Fields["namespace"], r.Fields["key"]
	v, ok := b.kv[space][key]
	switch {
	case r.Code == 100:
		table := maps.Clone(b.kv[space])
		put(&table, key, r.Fields["value"])
		put(&b.kv, space, table)
		b.reply(r, 0, "", nil, nil)
	case r.Code == 102:
		delete(b.kv[space], key)
		b.reply(r, 0, "", nil, nil)
	case r.Code == 219 && b.kv[space] != nil:
		b.replyJSON(r, map[string]any{"table": b.kv[space]})
	case r.Code == 101 && ok:
		b.reply(r, 0, "", map[string]string{"value": v}, nil)
	default:
		b.reply(r, 22, "No config item, Namespace: "+space+" Key: "+key, nil, nil)
	}
}

func (b *Broker) topic(r *Request) {
	name := r.Fields["topic"]
	queues, ok := b.topics[name]
	switch {
	case r.Code == 351 && b.Old:
		b.unsupported(r)
	case r.Code == 215 || r.Code == 216:
		delete(b.topics, name)
		b.reply(r, 0, "", nil, nil)
	case r.Code == 106:
		b.reply(r, 0, "", nil, fmt.Appendf(nil, `{"brokerAddrTable":{%q:{"brokerAddrs":{0:%q},"brokerName":%q,"cluster":"DefaultCluster"}},`+
			`"clusterAddrTable":{"DefaultCluster":[%q]}}`, b.name(), b.addr, b.name(), b.name()))
	case r.Code == 21:
		table := make(map[string]any)
		for t, n := range b.topics {
			table[t] = config(t, n)
		}
		b.replyJSON(r, map[string]any{"topicConfigTable": table})
	case !ok:
		b.reply(r, 17, "No topic route info in name server for the topic: "+name, nil, nil)
	case r.Code == 351:
		b.replyJSON(r, config(name, queues))
	default:
		b.reply(r, 0, "", nil, b.route(queues))
	}
}

func config(topic string, queues int) map[string]any {
	return map[string]any{"topicName": topic, "readQueueNums": queues, "writeQueueNums": queues, "perm": 6}
}

func (b *Broker) route(queues int) []byte {
	id := `"0"`
	if b.Old {
		id = "0"
	}
	return fmt.Appendf(nil, `{"brokerDatas":[{"brokerAddrs":{%s:%q},"brokerName":%q,"cluster":"DefaultCluster"}],"filterServerTable":{},`+
		`"queueDatas":[{"brokerName":%q,"perm":6,"readQueueNums":%d,"topicSysFlag":0,"writeQueueNums":%d}]}`,
		id, b.addr, b.name(), b.name(), queues, queues)
}

func (b *Broker) replyJSON(r *Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		b.reply(r, 1, err.Error(), nil, nil)
		return
	}
	b.reply(r, 0, "", nil, body)
}
