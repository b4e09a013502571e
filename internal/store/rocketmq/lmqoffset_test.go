package rocketmq

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// lightEntry is an entry of a light queue: a message in a queue of a topic.
type lightEntry struct {
	topic  string
	queue  uint32
	offset int
}

// lightBroker answers as a broker with light queues.
type lightBroker struct {
	mu      sync.Mutex
	offsets map[string]int64 // by group and light queue
	entries map[string][]lightEntry
	min     int
	fails   bool
	asked   []string // questions for offsets
	pulls   int
}

func (l *lightBroker) handle(r *remotingtest.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lmq := r.Fields["topic"]
	switch {
	case r.Code == 14: // QUERY_CONSUMER_OFFSET
		l.asked = append(l.asked, r.Fields["consumerGroup"]+" "+lmq)
		at, ok := l.offsets[r.Fields["consumerGroup"]+" "+lmq]
		switch {
		case l.fails:
			r.Reply(1, "broken", nil, nil)
		case !ok:
			r.Reply(22, "not found", nil, nil)
		default:
			r.Reply(0, "", map[string]string{"offset": strconv.FormatInt(at, 10)}, nil)
		}
		return true
	case r.Code == 11 && strings.HasPrefix(lmq, lmqPrefix):
		l.pull(r, l.entries[lmq])
		return true
	}
	return false
}

func (l *lightBroker) pull(r *remotingtest.Request, entries []lightEntry) {
	l.pulls++
	at, _ := strconv.Atoi(r.Fields["queueOffset"])
	most, _ := strconv.Atoi(r.Fields["maxMsgNums"])
	code, next := int32(19), at
	var body []byte
	switch {
	case at < l.min || at > len(entries):
		code, next = 21, len(entries)
	case at < len(entries):
		code = 0
		for i, e := range entries[at:min(at+most, len(entries))] {
			from := len(body)
			body = appendKept(body, e.topic, e.offset, message.BatchEntry{Body: []byte("x")})
			binary.BigEndian.PutUint32(body[from+12:], e.queue)
			binary.BigEndian.PutUint64(body[from+56:], uint64(1000+at+i)) // when it was stored
			next++
		}
	}
	r.Reply(code, "", map[string]string{
		"nextBeginOffset": strconv.Itoa(next), "minOffset": strconv.Itoa(l.min), "maxOffset": strconv.Itoa(len(entries)), "suggestWhichBrokerId": "0",
	}, body)
}

// light starts a store before one broker with light queues, with the topic t1.
func light(t *testing.T, l *lightBroker, o Options, version string) *sender {
	f := newFarm(t, 1, "t1", "t2")
	f.version = version
	f.brokers[0].hook = l.handle
	o.StaticFirstTopics = append(o.StaticFirstTopics, "t1")
	return f.start(t, o)
}

// missed is what Missed says, by queue id of t1.
func missed(s *sender, client, filter string) map[uint32]int64 {
	found := map[uint32]int64{}
	for _, p := range s.Missed(client, filter) {
		if q := s.queueOf(p.Queue); q != nil {
			found[uint32(q.name.id)] = p.Offset
		}
	}
	return found
}

// Where a client has missed something is the first entry of each queue, from its offset on.
func TestMissed(t *testing.T) {
	l := &lightBroker{
		min: 2,
		entries: map[string][]lightEntry{
			"%LMQ%t1%a%":   {{}, {}, {"t1", 0, 5}, {"t1", 2, 9}, {"t1", 0, 6}, {"t2", 1, 1}, {"t1", 1, 3}, {"t1", 2, 10}},
			"%LMQ%%p2p%c%": {{}, {}, {"t1", 3, 4}},
		},
	}
	l.offsets = map[string]int64{
		"%LMQ%c %LMQ%t1%a%": 4, "%LMQ%c %LMQ%%p2p%c%": 2,
		"%LMQ%all %LMQ%t1%a%": 8, "%LMQ%expired %LMQ%t1%a%": 1, "%LMQ%anew %LMQ%t1%a%": 99, "%LMQ%zero %LMQ%t1%a%": 0, "%LMQ%initial %LMQ%t1%a%": math.MaxInt64, "%LMQ%gone %LMQ%t1%b%": 7,
	}
	s := light(t, l, Options{}, "V5_4_0")
	for _, c := range []struct {
		client, filter string
		want           map[uint32]int64
	}{
		{"c", "t1/a", map[uint32]int64{0: 6, 1: 3, 2: 10}},
		{"c", "t1/a/", map[uint32]int64{0: 6, 1: 3, 2: 10}},
		{"c", store.P2P, map[uint32]int64{3: 4}},
		{"all", "t1/a", nil},
		{"none", "t1/a", nil},
		{"initial", "t1/a", nil},
		{"gone", "t1/b", nil},
		{"expired", "t1/a", map[uint32]int64{0: 5, 1: 3, 2: 9}},
		{"anew", "t1/a", map[uint32]int64{0: 5, 1: 3, 2: 9}},
		{"zero", "t1/a", map[uint32]int64{0: 5, 1: 3, 2: 9}},
	} {
		if got := missed(s, c.client, c.filter); !maps.Equal(got, c.want) {
			t.Errorf("%s %s: %v, want %v", c.client, c.filter, got, c.want)
		}
	}
}

// So many entries are read and no more: queues that are not seen among them begin at a time.
func TestMissedHasALimit(t *testing.T) {
	many := make([]lightEntry, 3*missedMost) // all but the last in queue 1
	for i := range many {
		many[i] = lightEntry{"t1", 1, i}
	}
	many[len(many)-1] = lightEntry{"t1", 3, 7}
	l := &lightBroker{entries: map[string][]lightEntry{"%LMQ%t1%#%": many}, offsets: map[string]int64{"%LMQ%c %LMQ%t1%#%": 2}}
	s := light(t, l, Options{}, "V5_4_0")
	if got, want := missed(s, "c", "t1/#"), map[uint32]int64{0: 0, 1: 2, 2: 0, 3: 0}; !maps.Equal(got, want) { // the farm finds 0 for every time
		t.Errorf("%v, want %v", got, want)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pulls != missedMost/missedPage {
		t.Errorf("%d pulls, want %d", l.pulls, missedMost/missedPage)
	}
}

// An offset of 0 of a broker that says 0 where there is none is none: who was never there is not sent what is kept.
func TestMissedZero(t *testing.T) {
	for _, version := range []string{"V4_9_7", ""} {
		l := &lightBroker{entries: map[string][]lightEntry{"%LMQ%t1%a%": {{"t1", 0, 0}}}, offsets: map[string]int64{"%LMQ%c %LMQ%t1%a%": 0}}
		if got := missed(light(t, l, Options{}, version), "c", "t1/a"); len(got) > 0 {
			t.Errorf("version %q: %v", version, got)
		}
	}
}

// Names that might do harm, filters that Java proxies do not take, and the setting never have nobody asked.
func TestMissedIsNotAsked(t *testing.T) {
	l := &lightBroker{}
	s := light(t, l, Options{}, "V5_4_0")
	for _, c := range [][2]string{
		{"c", "t1/a,b"},
		{"c", "t1/\x01"},
		{"c", "t1/" + strings.Repeat("x", 300)},
		{"c", "#"},
		{"c", "+/a"},
		{"a,b", "t1/a"},
		{"a\nb", "t1/a"},
		{strings.Repeat("x", 300), "t1/a"},
		{strings.Repeat("x", 246), store.P2P},
	} {
		if got := s.Missed(c[0], c[1]); got != nil {
			t.Errorf("%q: %v", c, got)
		}
	}
	never := light(t, l, Options{LMQDispatch: LMQNever}, "V5_4_0")
	never.Missed("c", "t1/a")
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) > 0 {
		t.Errorf("asked for %q", l.asked)
	}
}

// A broker that does not answer is left alone for a while, and that is to be said once.
func TestMissedBrokerDoesNotAnswer(t *testing.T) {
	l := &lightBroker{fails: true}
	s := light(t, l, Options{}, "V5_4_0")
	for range 3 {
		if got := s.Missed("c", "t1/a"); got != nil {
			t.Error(got)
		}
	}
	l.mu.Lock()
	if len(l.asked) != 1 {
		t.Errorf("asked %d times", len(l.asked))
	}
	l.mu.Unlock()
	var b lmqBroker
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		after    time.Duration
		err      error
		ask, log bool
	}{
		{0, errors.New("away"), true, true},
		{missedPause - 1, nil, false, false},
		{1, errors.New("away"), true, false},
		{missedPause, nil, true, false},
		{0, errors.New("away"), true, true},
	} {
		now = now.Add(step.after)
		ask := b.ask(now)
		if ask != step.ask || ask && b.answered(step.err, now) != step.log {
			t.Errorf("%+v: asked %v", step, ask)
		}
	}
	b.none.Store(true)
	if b.ask(now.Add(time.Hour)) {
		t.Error("a broker without light queues is asked")
	}
}

// What each broker has is found on that broker.
func TestMissedOnEachBroker(t *testing.T) {
	f := newFarm(t, 2, "t1")
	f.version = "V5_4_0"
	for i, b := range f.brokers {
		l := &lightBroker{entries: map[string][]lightEntry{"%LMQ%t1%a%": {{"t1", 0, 10 + i}, {"t1", 0, 20 + i}}}, offsets: map[string]int64{"%LMQ%c %LMQ%t1%a%": int64(i)}}
		b.hook = l.handle
	}
	s := f.start(t, Options{StaticFirstTopics: []string{"t1"}})
	got := s.Missed("c", "t1/a")
	slices.SortFunc(got, func(a, b store.Position) int { return cmp.Compare(a.Offset, b.Offset) })
	want := []store.Position{{Queue: queueName{"t1", "broker-a", 0}.queue(), Offset: 10}, {Queue: queueName{"t1", "broker-b", 0}.queue(), Offset: 21}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What a client has not acknowledged at Java proxies is in the light queue of its retries: so many, and Get returns them, though nobody else is handed them.
func TestUnacknowledged(t *testing.T) {
	var entries []lightEntry
	for i := range 2 + retryMost + 5 {
		entries = append(entries, lightEntry{"retry", uint32(i % 4), i / 4})
	}
	l := &lightBroker{entries: map[string][]lightEntry{"%LMQ%%retry%c%": entries}, offsets: map[string]int64{"%LMQ%c %LMQ%%retry%c%": 2}}
	f := newFarm(t, 1, "t1", "retry")
	f.version, f.brokers[0].hook = "V5_4_0", l.handle
	for q := range 4 { // what the queues have
		entry := message.BatchEntry{Body: []byte(strconv.Itoa(q)), Properties: []byte(propDispatch + "\x01%LMQ%%retry%c%\x02" + propTopic + "\x01t1/a\x02")}
		f.brokers[0].log["retry/"+strconv.Itoa(q)] = []sent{{raw: entry}, {raw: entry}}
	}
	if got := f.start(t, Options{}).Unacknowledged("c"); got != nil {
		t.Errorf("without RetryTopic: %v", got)
	}
	s := f.start(t, Options{RetryTopic: "retry"})
	if got := s.Unacknowledged("other"); got != nil {
		t.Errorf("another client: %v", got)
	}
	got := s.Unacknowledged("c")
	if len(got) != retryMost {
		t.Fatalf("%d, want %d", len(got), retryMost)
	}
	for i, p := range got {
		n := i + 2
		if want := (store.Position{Queue: queueName{"retry", "broker-a", int32(n % 4)}.queue(), Offset: int64(n / 4)}); p != want {
			t.Fatalf("%d is at %v, want %v", i, p, want)
		}
	}
	rec, err := s.Get(got[0])
	if err != nil || rec.Topic != "t1/a" || string(rec.Payload) != "2" {
		t.Errorf("%+v, %v", rec, err)
	}
	recs, next, _, err := s.Read(store.Position{Queue: got[0].Queue}, &store.Query{Filters: []string{"retry/#", "#"}, Match: func(string) bool { return true }}, 1000)
	if err != nil || len(recs) > 0 || next != 2 {
		t.Errorf("Read: %v, %d, %v", recs, next, err)
	}
}
