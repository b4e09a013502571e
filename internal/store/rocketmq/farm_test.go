package rocketmq

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
)

// farm is a name server and brokers in memory that take batches apart and do to them what a test tells them. They refuse to create topics,
// so there is no registry.
type farm struct {
	names   *remotingtest.Server
	brokers []*farmBroker
	at      string // where all brokers are according to the name server; "": where they are

	mu      sync.Mutex
	topics  map[string]int    // queues on each broker
	kv      map[string]string // of the namespace LMQ; nil: there is none
	version string            // of the brokers; "": they do not tell
	proxies []string          // Java proxies
}

// farmBroker is one of its brokers.
type farmBroker struct {
	f      *farm
	name   string
	server *remotingtest.Server
	// plan says what becomes of the n-th request to send, from 0; nil: it is taken. It may wait. Set before the first one.
	plan func(n int, batch []sent) reply
	// hook sees each request before, and says whether that was all; nil: nobody does. Set before the first one.
	hook func(r *remotingtest.Request) bool

	mu       sync.Mutex
	readOnly bool
	requests [][]sent          // as they came
	log      map[string][]sent // what was appended, by topic and queue
}

// reply is what a farmBroker does with a request.
type reply struct {
	code   int32
	remark string
	append bool // appended in spite of code, lost or silent
	lost   bool // the connection is closed instead of an answer
	silent bool // there is no answer
}

// sent is one message of a request.
type sent struct {
	topic, payload, key, after string
	raw                        message.BatchEntry
}

func newFarm(t testing.TB, brokers int, topics ...string) *farm {
	f := &farm{topics: map[string]int{}}
	for _, topic := range topics {
		f.topics[topic] = 4
	}
	for i := range brokers {
		b := &farmBroker{f: f, name: fmt.Sprint("broker-", string(rune('a'+i))), log: map[string][]sent{}}
		b.server = remotingtest.Start(t, b.handle)
		f.brokers = append(f.brokers, b)
	}
	f.names = remotingtest.Start(t, f.handle)
	return f
}

// handle is the name server.
func (f *farm) handle(r *remotingtest.Request) {
	f.mu.Lock()
	queues := f.topics[r.Fields["topic"]]
	kv, err := json.Marshal(map[string]any{"table": f.kv})
	none := f.kv == nil || err != nil
	f.mu.Unlock()
	var datas, list, table, names []string
	for _, b := range f.brokers {
		b.mu.Lock()
		perm := 6
		if b.readOnly {
			perm = 4
		}
		b.mu.Unlock()
		data := fmt.Sprintf(`{"brokerAddrs":{"0":%q},"brokerName":%q,"cluster":"DefaultCluster"}`, cmp.Or(f.at, b.server.Addr()), b.name)
		datas = append(datas, data)
		table = append(table, fmt.Sprintf("%q:%s", b.name, data))
		names = append(names, strconv.Quote(b.name))
		list = append(list, fmt.Sprintf(`{"brokerName":%q,"perm":%d,"readQueueNums":%d,"topicSysFlag":0,"writeQueueNums":%d}`, b.name, perm, queues, queues))
	}
	switch {
	case r.Code == 106:
		r.Reply(0, "", nil, fmt.Appendf(nil, `{"brokerAddrTable":{%s},"clusterAddrTable":{"DefaultCluster":[%s]}}`, strings.Join(table, ","), strings.Join(names, ",")))
	case r.Code == 105 && queues > 0:
		r.Reply(0, "", nil, fmt.Appendf(nil, `{"brokerDatas":[%s],"queueDatas":[%s]}`, strings.Join(datas, ","), strings.Join(list, ",")))
	case r.Code == 105:
		r.Reply(17, "no route", nil, nil)
	case r.Code == 219 && none: // GET_KVLIST_BY_NAMESPACE
		r.Reply(22, "no namespace", nil, nil)
	case r.Code == 219:
		r.Reply(0, "", nil, kv)
	default:
		r.Reply(3, "not supported", nil, nil)
	}
}

func (b *farmBroker) handle(r *remotingtest.Request) {
	if b.hook != nil && b.hook(r) {
		return
	}
	switch key := r.Fields["topic"] + "/" + r.Fields["queueId"]; r.Code {
	case 310, 320:
		b.send(r)
	case 28, 38: // GET_BROKER_RUNTIME_INFO, GET_CONSUMER_LIST_BY_GROUP
		b.tell(r)
	case 30: // GET_MAX_OFFSET
		b.mu.Lock()
		n := len(b.log[key])
		b.mu.Unlock()
		r.Reply(0, "", map[string]string{"offset": strconv.Itoa(n)}, nil)
	case 29, 31: // SEARCH_OFFSET_BY_TIMESTAMP, GET_MIN_OFFSET
		r.Reply(0, "", map[string]string{"offset": "0"}, nil)
	case 11:
		b.pull(r, key)
	case 351:
		r.Reply(17, "no topic", nil, nil)
	default:
		r.Reply(16, "not allowed", nil, nil)
	}
}

// tell tells of the broker.
func (b *farmBroker) tell(r *remotingtest.Request) {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	switch {
	case r.Code == 28 && b.f.version != "":
		r.Reply(0, "", nil, fmt.Appendf(nil, `{"table":{"brokerVersionDesc":%q}}`, b.f.version))
	case r.Code == 38 && len(b.f.proxies) > 0:
		r.Reply(0, "", nil, fmt.Appendf(nil, `{"consumerIdList":[%q]}`, b.f.proxies[0]))
	case r.Code == 38:
		r.Reply(1, "no consumer for this group, "+r.Fields["consumerGroup"], nil, nil)
	default:
		r.Reply(16, "not allowed", nil, nil)
	}
}

func (b *farmBroker) send(r *remotingtest.Request) {
	var batch []sent
	if r.Code == 310 { // SEND_MESSAGE_V2
		one, err := message.AppendBatchEntry(nil, 0, r.Body, []byte(r.Fields["i"]))
		if err != nil {
			r.Reply(1, err.Error(), nil, nil)
			return
		}
		r.Body = one
	}
	for rest := r.Body; len(rest) > 0; {
		var e message.BatchEntry
		var err error
		if e, rest, err = message.DecodeBatchEntry(rest); err != nil {
			r.Reply(1, err.Error(), nil, nil)
			return
		}
		get := func(name string) string { v, _ := message.Property(e.Properties, name); return string(v) }
		batch = append(batch, sent{get(propTopic), string(e.Body), get(propUniqKey), get(propAfter), e})
	}
	b.mu.Lock()
	n := len(b.requests)
	b.requests = append(b.requests, batch)
	b.mu.Unlock()
	rep := reply{append: true}
	if b.plan != nil {
		rep = b.plan(n, batch)
	}
	key := r.Fields["b"] + "/" + r.Fields["e"]
	b.mu.Lock()
	offset := len(b.log[key])
	if rep.append {
		b.log[key] = append(b.log[key], batch...)
	}
	b.mu.Unlock()
	switch {
	case rep.lost:
		r.Conn.Close()
	case rep.silent:
	case rep.append:
		r.Reply(rep.code, rep.remark, map[string]string{"msgId": "x", "queueId": r.Fields["e"], "queueOffset": strconv.Itoa(offset)}, nil)
	default:
		r.Reply(rep.code, rep.remark, nil, nil)
	}
}

func (b *farmBroker) pull(r *remotingtest.Request, key string) {
	at, _ := strconv.Atoi(r.Fields["queueOffset"])
	b.mu.Lock()
	log := b.log[key]
	b.mu.Unlock()
	code, next, body := int32(19), at, []byte(nil)
	for i := at; i < len(log); i++ {
		code, next = 0, i+1
		body = appendKept(body, r.Fields["topic"], i, log[i].raw)
	}
	r.Reply(code, "", map[string]string{"nextBeginOffset": strconv.Itoa(next), "minOffset": "0", "maxOffset": strconv.Itoa(len(log)), "suggestWhichBrokerId": "0"}, body)
}

// appendKept is a message as a broker stores it, V1.
func appendKept(dst []byte, topic string, offset int, e message.BatchEntry) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 0xDAA320A7)
	b = be.AppendUint32(b, crc32.ChecksumIEEE(e.Body)&0x7fffffff)
	b = append(b, make([]byte, 8)...) // queue, flag
	b = be.AppendUint64(b, uint64(offset))
	b = append(b, make([]byte, 8+4+8+8)...) // physical offset, flags, born
	b = be.AppendUint64(b, uint64(time.Now().UnixMilli()))
	b = append(b, make([]byte, 8+4+8)...) // store host, times, prepared
	b = append(be.AppendUint32(b, uint32(len(e.Body))), e.Body...)
	b = append(append(b, byte(len(topic))), topic...)
	b = append(be.AppendUint16(b, uint16(len(e.Properties))), e.Properties...)
	return append(be.AppendUint32(dst, uint32(len(b)+4)), b...)
}

// appended is what all queues of the broker have, queue by queue.
func (b *farmBroker) appended() []sent {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []sent
	for _, key := range slices.Sorted(maps.Keys(b.log)) {
		all = append(all, b.log[key]...)
	}
	return all
}

// asked is the requests to send that came.
func (b *farmBroker) asked() [][]sent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// tapped is a changelog that remembers what it was told.
type tapped struct {
	*local.Store
	mu      sync.Mutex
	changes []store.Change
	holding bool     // who wrote a Receive is told when release is called
	held    []func() // in order

	wills map[uint64]*owing // by id; guarded by mu
}

// owing is a will as the changelog of all nodes would have it.
type owing struct {
	claim changelog.Claim
	mine  bool
	said  []string // what was said of it
	then  func()   // is called when it was claimed, before that is told
}

// owe has a will be owed, and claimed by another node that is dead, unless claim is zero.
func (c *tapped) owe(id uint64, claim changelog.Claim) *owing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wills == nil {
		c.wills = map[uint64]*owing{}
	}
	c.wills[id] = &owing{claim: claim}
	return c.wills[id]
}

// said is what it was told of wills.
func (c *tapped) said(o *owing) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(o.said)
}

func (c *tapped) Owing(_ string, id uint64) (changelog.Claim, bool, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.wills[id]; o != nil {
		return o.claim, o.mine, true, nil
	}
	return changelog.Claim{}, false, false, nil
}

func (c *tapped) ClaimWill(_ string, id uint64, before, claim changelog.Claim, done store.Completion) {
	c.mu.Lock()
	o := c.wills[id]
	o.said = append(o.said, "claimed")
	if o.claim == before {
		o.claim, o.mine = claim, true
	}
	then := o.then
	c.mu.Unlock()
	if then != nil {
		then()
	}
	done.Appended(0, store.Position{}, nil)
}

func (c *tapped) WillSent(_ string, id uint64, done store.Completion) { c.end(id, "sent", done) }

func (c *tapped) ReleaseWill(_ string, id uint64, _ changelog.Claim, done store.Completion) {
	c.end(id, "released", done)
}

func (c *tapped) end(id uint64, what string, done store.Completion) {
	c.mu.Lock()
	o := c.wills[id]
	o.said = append(o.said, what)
	if what == "released" {
		o.claim, o.mine = changelog.Claim{}, false
	} else {
		delete(c.wills, id)
	}
	c.mu.Unlock()
	if done != nil {
		done.Appended(0, store.Position{}, nil)
	}
}

func (c *tapped) Change(ch *store.Change, done store.Completion, token uint64) {
	c.mu.Lock()
	c.changes = append(c.changes, *ch)
	if c.holding && ch.Kind == store.Receive {
		done = holder{c, done}
	}
	c.mu.Unlock()
	c.Store.Change(ch, done, token)
}

// holder is told in place of who wrote.
type holder struct {
	c    *tapped
	done store.Completion
}

func (h holder) Appended(token uint64, at store.Position, err error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.c.held = append(h.c.held, func() { h.done.Appended(token, at, err) })
}

// release tells n who were held, when they are there.
func (c *tapped) release(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " receipts are durable"), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.held) == n
	})
	for _, tell := range c.held {
		tell()
	}
}

// kinds is what it was told, but notes.
func (c *tapped) kinds() []store.ChangeKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kinds []store.ChangeKind
	for _, ch := range c.changes {
		if ch.Kind != store.Note {
			kinds = append(kinds, ch.Kind)
		}
	}
	return kinds
}

// sender is a store on a farm.
type sender struct {
	*Store
	changelog *tapped
}

// start opens a store on f that ends with the test. What o leaves open is set.
func (f *farm) start(t testing.TB, o Options) *sender {
	t.Helper()
	client, err := remoting.New(remoting.Options{Namesrv: []string{f.names.Addr()}, BackoffMax: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("STORE_LOG") != "" {
		log = slog.Default()
	}
	own, err := local.Open(local.Options{Dir: t.TempDir(), DiskReserve: -1, Logger: log, LeaveRetained: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{changelog: &tapped{Store: own}}
	o.Client, o.Changelog, o.Logger, o.Dir = client, s.changelog, log, t.TempDir()
	if s.Store, err = Open(o); err != nil {
		t.Fatal(err, own.Close())
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// publish appends a message of QoS 1.
func (s *sender) publish(topic, payload string, done store.Completion, token uint64) {
	s.Append(&store.Message{Topic: topic, Payload: []byte(payload), QoS: 1}, done, token)
}

// box is the outbox that a topic's messages go to.
func (s *sender) box(t testing.TB, topic string) *outbox {
	t.Helper()
	q, err := s.place(topic)
	if err != nil {
		t.Fatal(err)
	}
	return &q.out
}

// told is one answer to an append.
type told struct {
	token uint64
	at    store.Position
	err   error
}

// answers collects them, and fails the test when one comes twice.
type answers struct {
	t    testing.TB
	mu   sync.Mutex
	list []told
	seen map[uint64]bool
}

func newAnswers(t testing.TB) *answers { return &answers{t: t, seen: map[uint64]bool{}} }

func (a *answers) Appended(token uint64, at store.Position, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen[token] {
		a.t.Errorf("append %d was answered twice", token)
	}
	a.seen[token] = true
	a.list = append(a.list, told{token, at, err})
}

func (a *answers) all() []told {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

// wait returns when there are n answers.
func (a *answers) wait(n int) []told {
	a.t.Helper()
	eventually(a.t, fmt.Sprint(n, " answers"), func() bool { return len(a.all()) >= n })
	return a.all()
}

// good is wait for answers without error.
func (a *answers) good(n int) []told {
	a.t.Helper()
	list := a.wait(n)
	for _, one := range list {
		if one.err != nil {
			a.t.Fatalf("append %d: %v", one.token, one.err)
		}
	}
	return list
}
