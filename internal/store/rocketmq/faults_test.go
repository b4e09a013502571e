package rocketmq

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// With brokers that fail at random, whatever is told holds: each append is answered once; what is told to be appended is where it is told
// to be; nothing is in the log twice, but for copies that say so; and the first copies of what a publisher was not refused have its order.
func TestFaults(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { faults(t, seed, LMQNever) })
		t.Run(fmt.Sprint("one by one, seed ", seed), func(t *testing.T) { faults(t, seed, LMQAlways) })
	}
}

func faults(t *testing.T, seed uint64, lmq LMQDispatch) {
	const publishers, each = 8, 150
	f := newFarm(t, 1, "t")
	f.version = "V5_4_0"
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	f.brokers[0].plan = func(_ int, batch []sent) reply {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(25) {
		case 0:
			return reply{code: 2, remark: "busy"}
		case 1:
			return reply{lost: true}
		case 2:
			return reply{lost: true, append: true}
		case 3:
			return reply{code: 14, remark: "service not available"}
		case 4:
			if len(batch) > 1 {
				return reply{code: 13, remark: "illegal"}
			}
		case 5:
			return reply{append: true, code: 10}
		}
		return reply{append: true}
	}
	s := f.start(t, Options{QueueFailover: patience, LMQDispatch: lmq})
	a := newAnswers(t)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(p)+1))
			for i := range each {
				m := &store.Message{Topic: fmt.Sprint("t/", p), Payload: []byte(fmt.Sprint(i)), QoS: byte(1 + p%2)}
				if m.QoS == 2 {
					m.Client, m.PacketID = fmt.Sprint("c", p), uint16(i+1)
				}
				s.Append(m, a, uint64(p*each+i))
				if r.IntN(30) == 0 { // so that outboxes run empty
					mark := r.IntN(p*each + i + 1)
					eventually(t, "others are answered", func() bool { return len(a.all()) >= min(mark, i) })
				}
			}
		})
	}
	wg.Wait()
	list := a.good(publishers * each)
	checkLog(t, f.brokers[0])
	for _, one := range list {
		q := s.queueOf(one.at.Queue)
		f.brokers[0].mu.Lock()
		m := f.brokers[0].log[fmt.Sprintf("%s/%d", q.name.topic, q.name.id)][one.at.Offset]
		f.brokers[0].mu.Unlock()
		if p, i := one.token/each, one.token%each; m.topic != fmt.Sprint("t/", p) || m.payload != fmt.Sprint(i) {
			t.Fatalf("append %d was told %v, where %s of %s is", one.token, one.at, m.payload, m.topic)
		}
	}
	eventually(t, "all room is free again", func() bool { return s.sending.room.used.Load() == 0 })
}

// checkLog checks the order of first copies, and that others say what they are, and where the first one may be.
func checkLog(t *testing.T, b *farmBroker) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, log := range b.log {
		seen, next := map[string]int{}, map[string]int{}
		for i, m := range log {
			if first, again := seen[m.key]; again {
				after, ok := parseAfter([]byte(m.after))
				if !ok || after.offset > int64(first) || after.since > time.Now().UnixMilli() {
					t.Fatalf("queue %s: %d is a copy of %d, and says %q", key, i, first, m.after)
				}
				continue
			}
			seen[m.key] = i
			if m.payload != fmt.Sprint(next[m.topic]) {
				t.Fatalf("queue %s: %s of %s, want %d", key, m.payload, m.topic, next[m.topic])
			}
			next[m.topic]++
		}
	}
}

func TestBudget(t *testing.T) {
	var b budget
	b.init(100)
	if err := b.take(1000); err != nil { // alone
		t.Fatal(err)
	}
	order := make(chan string, 3)
	var wg sync.WaitGroup
	take := func(name string, n int64) {
		before := b.queued.Load()
		wg.Go(func() {
			if err := b.take(n); err != nil {
				name += ": " + err.Error()
			}
			order <- name
		})
		eventually(t, name+" waits", func() bool { return b.queued.Load() == before+1 })
	}
	take("large", 90)
	take("small", 20)
	b.give(1000)
	if first := <-order; first != "large" {
		t.Errorf("%s was let in first", first)
	}
	if n := b.queued.Load(); n != 1 {
		t.Errorf("%d wait, want 1: there is room for 10", n)
	}
	b.close()
	if second := <-order; !strings.Contains(second, store.ErrClosed.Error()) {
		t.Errorf("who waited when it was closed was told %s", second)
	}
	select {
	case <-b.idle:
		t.Error("idle with 90 taken")
	default:
	}
	b.give(90)
	<-b.idle
	wg.Wait()
}
