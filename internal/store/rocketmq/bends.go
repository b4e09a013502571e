package rocketmq

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A session takes its positions along to other nodes, so all nodes must give a message the same one. Which queues went back, and where, is therefore written
// down: in the registry, on the broker of the queue, so that whoever reaches one reaches the other. Of two nodes that find out at once the first one counts
// (offsets has numbers for that). What a node reads before it knows has the former number; it goes on where it is, and only
// a session that moves to another node within that moment may get of that again.
const bendTag = "MQTT_SYS_BEND"

// bendEntry is an entry of the registry: all bends of a queue that count, the newest one last.
type bendEntry struct {
	Queue store.Queue `json:"queue"`
	Name  string      `json:"name"` // of the queue, for people
	Bends []bend      `json:"bends"`
}

// bends is what the registry says. The zero value is empty.
type bends struct {
	mu     sync.Mutex
	queues map[store.Queue]knownBends
	read   map[*broker]bool // whose registry was read; what comes later comes by itself
}

type knownBends struct {
	list       []bend
	name       string
	at         int64  // when it was written last, Unix milliseconds
	generation uint64 // of the connection over which it was read first
}

// take takes in an entry that was stored at at, Unix milliseconds. What is as new as what is known came second.
func (b *bends) take(e *bendEntry, at int64, generation uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.queues[e.Queue]
	if number(e.Bends) > number(known.list) {
		known.list, known.name, known.generation = e.Bends, e.Name, generation
	}
	if known.list == nil {
		return
	}
	if number(e.Bends) == number(known.list) {
		known.at = max(known.at, at)
	}
	if b.queues == nil {
		b.queues = map[store.Queue]knownBends{}
	}
	b.queues[e.Queue] = known
}

// isRead says that a broker's registry was read.
func (b *bends) isRead(of *broker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read == nil {
		b.read = map[*broker]bool{}
	}
	b.read[of] = true
}

func (b *bends) wasRead(of *broker) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read[of]
}

func (b *bends) of(q store.Queue) knownBends {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queues[q]
}

// due lists those that were written last before the Unix time before, in milliseconds.
func (b *bends) due(before int64) []bendEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []bendEntry
	for q, known := range b.queues {
		if known.at < before {
			all = append(all, bendEntry{q, known.name, known.list})
		}
	}
	return all
}

// parseBend is what the body of an entry with bendTag says of a queue; nil: nothing.
func parseBend(body []byte) *bendEntry {
	e := new(bendEntry)
	if err := json.Unmarshal(body, e); err != nil || number(e.Bends) == 0 {
		return nil
	}
	return e
}

// adopt has q's offsets follow what the registry says, and reports whether that was news. q.log.mu is held.
func (s *Store) adopt(q *queue) bool {
	known := s.bends.of(q.key)
	if number(known.list) <= q.log.number() {
		return false
	}
	q.log.bends.Store(&known.list)
	return true
}

// readBends makes sure that it is known what the registry says of q. q.log.mu is held.
func (s *Store) readBends(ctx context.Context, q *queue) error {
	if registry := s.registryOn(q.broker); registry != nil && !s.bends.wasRead(q.broker) {
		if err := s.readRegistry(ctx, registry); err != nil && !forbidden(err) {
			return s.readError(registry, err)
		}
		s.bends.isRead(q.broker)
	}
	s.adopt(q)
	return nil
}

// bend notes that the messages of q from RocketMQ's offset back on are new ones, unless another node has. Logical offsets up to next were read of those
// before. An error means that nobody knows yet. q.log.mu is held.
func (s *Store) bend(ctx context.Context, q *queue, back, next int64) error {
	if err := s.share(ctx, q, q.log.with(back)); err != nil {
		return err
	}
	if !s.adopt(q) { // there is no registry that could be written
		list := q.log.with(back)
		q.log.bends.Store(&list)
	}
	s.stats.WentBack.Add(1)
	s.log.Warn("a queue of RocketMQ went back: messages that were there, and may have been delivered, are gone, as after a crash with ASYNC_FLUSH; going on with the new ones",
		"topic", q.name.topic, "broker", q.name.broker, "queue", q.name.id, "offset", back, "lost", next-q.log.logicalBefore(back))
	return nil
}

// share writes down that q went back, unless that is written there already.
func (s *Store) share(ctx context.Context, q *queue, list []bend) error {
	registry := s.registryOn(q.broker)
	if registry == nil {
		return nil
	}
	for written := false; ; written = true {
		if err := s.readRegistry(ctx, registry); err != nil && !forbidden(err) {
			return s.readError(registry, err)
		}
		if written || number(s.bends.of(q.key).list) >= number(list) {
			return nil
		}
		err := s.writeBend(ctx, registry, &bendEntry{q.key, q.name.String(), list})
		if forbidden(err) {
			s.topics.beSilent(err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: that queue %s went back cannot be written down: %w", store.ErrAway, q.name, err)
		}
	}
}

func (s *Store) writeBend(ctx context.Context, registry *queue, e *bendEntry) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = s.topics.writeTo(ctx, registry, bendTag, body)
	return err
}

// registryOn is the queue of the registry on a broker; nil: it has none.
func (s *Store) registryOn(b *broker) *queue {
	if r := s.known(registryTopic); r != nil {
		for _, q := range r.queues() {
			if q.broker == b {
				return q
			}
		}
	}
	return nil
}

// renewBends writes down again what is about to be dropped with the log, at now, Unix milliseconds.
func (s *Store) renewBends(ctx context.Context, now int64) {
	for _, e := range s.bends.due(now - renewAfter.Milliseconds()) {
		q := s.queueOf(e.Queue)
		if q == nil {
			continue // nobody here has to do with it
		}
		registry := s.registryOn(q.broker)
		if registry == nil {
			continue
		}
		if err := s.writeBend(ctx, registry, &e); err != nil {
			s.log.Warn("that a queue went back cannot be written down again; it is tried again later", "topic", registryTopic, "queue", e.Name, "err", err)
		}
	}
}

// mapped makes sure that this node knows what the logical offset at of q means: it may be of another node, which knows of more bends.
func (s *Store) mapped(ctx context.Context, q *queue, at int64) error {
	if err := s.settle(ctx, q); err != nil {
		return err
	}
	if at>>numberShift <= q.log.number() {
		return nil
	}
	if registry := s.registryOn(q.broker); registry != nil {
		if err := s.readRegistry(ctx, registry); err != nil {
			return s.readError(registry, err)
		}
	}
	q.log.mu.Lock()
	defer q.log.mu.Unlock()
	s.adopt(q)
	if at>>numberShift > q.log.number() {
		return fmt.Errorf("%w: another node has read queue %s after it went back, and this one does not know yet", store.ErrAway, q.name)
	}
	return nil
}
