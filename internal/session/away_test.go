package session

import (
	"fmt"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// outages is a store some of whose queues are out of reach for readers.
type outages struct {
	store.Store
	mu   sync.Mutex
	away map[store.Queue]bool // guarded by mu
	met  int                  // reads that failed for that; guarded by mu
}

func (o *outages) set(q store.Queue, away bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away == nil {
		o.away = map[store.Queue]bool{}
	}
	o.away[q] = away
}

func (o *outages) check(q store.Queue) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away[q] {
		return nil
	}
	o.met++
	return fmt.Errorf("%w: for the test", store.ErrAway)
}

// wasMet reports whether somebody has asked for what is out of reach.
func (o *outages) wasMet() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.met > 0
}

// Read implements store.Store.
func (o *outages) Read(from store.Position, q *store.Query, most int) ([]store.Record, int64, int64, error) {
	if err := o.check(from.Queue); err != nil {
		return nil, from.Offset, 0, err
	}
	return o.Store.Read(from, q, most)
}

// Get implements store.Store.
func (o *outages) Get(at store.Position) (store.Record, error) {
	if err := o.check(at.Queue); err != nil {
		return store.Record{}, err
	}
	return o.Store.Get(at)
}

func withOutages() (*outages, func(*broker)) {
	o := &outages{}
	return o, func(b *broker) {
		b.wrap = func(s store.Store) store.Store {
			o.Store = s
			return o
		}
	}
}

// twoTopics returns a topic of each of two queues; they are queues 0 and 1.
func twoTopics(b *broker) [2]string {
	var m manyQueues
	var topics [2]string
	for i := 0; topics[0] == "" || topics[1] == ""; i++ {
		name := fmt.Sprint("t/", i)
		if q := m.queue(name); q < 2 {
			topics[q] = name
		}
	}
	return topics
}

// While a queue is out of reach a session that comes back gets what is in the others, stays connected, and gets the rest, what was sent before with DUP, when
// it is back.
func TestAway(t *testing.T) {
	if queues == 1 {
		return // there is but one
	}
	o, with := withOutages()
	b := newBroker(t, with)
	topics := twoTopics(b)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t/+", 1)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send(topics[0], "unacknowledged", 1)
	sub.wantPublish(topics[0], "unacknowledged", 1)
	sub.gone()
	for i := range 3 {
		pub.send(topics[0], fmt.Sprint("away ", i), 1)
		pub.send(topics[1], fmt.Sprint("there ", i), 1)
	}
	o.set(0, true)
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	for i := range 3 {
		sub.accept(sub.wantPublish(topics[1], fmt.Sprint("there ", i), 1))
	}
	eventually(t, "a read out of reach", o.wasMet)
	pub.send(topics[1], "live", 1)
	sub.accept(sub.wantPublish(topics[1], "live", 1))
	sub.nothing()
	o.set(0, false)
	if p := sub.wantPublish(topics[0], "unacknowledged", 1); !p.Dup {
		t.Error("what was sent before came again without DUP")
	} else {
		sub.accept(p)
	}
	for i := range 3 {
		sub.accept(sub.wantPublish(topics[0], fmt.Sprint("away ", i), 1))
	}
	sub.nothing()
}

// A shared subscription waits in the same way.
func TestAwayShared(t *testing.T) {
	if queues == 1 {
		return
	}
	o, with := withOutages()
	b := newBroker(t, with)
	topics := twoTopics(b)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("$share/g/t/+", 1)
	sub.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send(topics[0], "away", 1)
	pub.send(topics[1], "there", 1)
	o.set(0, true)
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.accept(sub.wantPublish(topics[1], "there", 1))
	eventually(t, "a read out of reach", o.wasMet)
	o.set(0, false)
	sub.accept(sub.wantPublish(topics[0], "away", 1))
	sub.nothing()
}

// What was unsubscribed is no longer read, so a session that comes back does not ask for queues that only it was in.
func TestUnsubscribedQueuesAreForgotten(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t/+", 1)
	sub.subscribe("u", 1)
	unsubscribe := func(id uint16, filter string) {
		sub.packet(&mqtt.Unsubscribe{PacketID: id, Filters: [][]byte{[]byte(filter)}})
		sub.next(mqtt.UNSUBACK, &mqtt.Suback{Type: mqtt.UNSUBACK})
	}
	places := func() int {
		sub.c.mu.Lock()
		defer sub.c.mu.Unlock()
		return len(sub.c.out.places)
	}
	unsubscribe(10, "t/+")
	if n := places(); n != int(queues) { // u may be in any of them
		t.Errorf("%d places while a subscription is left, want %d", n, queues)
	}
	unsubscribe(11, "u")
	if n := places(); n != 0 {
		t.Errorf("%d places without a subscription", n)
	}
	sub.gone()
	s, err := b.store.Load("sub")
	if err != nil || len(s.Cursor) != 0 {
		t.Errorf("the session stands at %v, error %v", s.Cursor, err)
	}
}
