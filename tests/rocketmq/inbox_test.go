package rocketmq

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// delivery is a message that came.
type delivery struct {
	topic, payload string
	qos            byte
	users          int // bytes of MQTT 5 user properties
}

// inbox is what one client id has received, over all its connections. The zero value is empty.
type inbox struct {
	mu     sync.Mutex
	all    []delivery
	count  map[string]int      // by payload
	open   map[uint16]struct{} // QoS 2 packet ids that are not released
	change chan struct{}       // closed with the next delivery, when somebody waits
	ended  error               // why the last connection that ended did

	packets map[string]*mqtt.Publish // by payload, the last that came; nil: they are not kept
}

// end notes that a connection is over.
func (b *inbox) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = err
}

// state says how much came, and how the last connection that is over ended.
func (b *inbox) state() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("%d messages came, %d packet ids are open; the last connection that is over: %v", len(b.all), len(b.open), b.ended)
}

// put takes a PUBLISH in. Of QoS 2 it is the same message again while its packet id is not released [MQTT-4.3.3-10].
func (b *inbox) put(p *mqtt.Publish) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == nil {
		b.count, b.open = map[string]int{}, map[uint16]struct{}{}
	}
	if p.QoS == 2 {
		if _, again := b.open[p.PacketID]; again {
			return
		}
		b.open[p.PacketID] = struct{}{}
	}
	d := delivery{topic: string(p.Topic), payload: string(p.Payload), qos: p.QoS}
	for _, u := range p.User {
		d.users += len(u.Key) + len(u.Value)
	}
	if b.packets != nil {
		b.packets[d.payload] = p
	}
	b.all = append(b.all, d)
	b.count[d.payload]++
	if b.change != nil {
		close(b.change)
		b.change = nil
	}
}

func (b *inbox) release(id uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, id)
}

// deliveries is all that came so far.
func (b *inbox) deliveries() []delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all)
}

// times is how often a payload came.
func (b *inbox) times(payload string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count[payload]
}

// find is the delivery of a payload.
func (b *inbox) find(payload string) (delivery, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.all, func(d delivery) bool { return d.payload == payload })
	if i < 0 {
		return delivery{}, false
	}
	return b.all[i], true
}

// await waits for a payload.
func (b *inbox) await(payload string) (delivery, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		change, there := b.look(payload)
		if there {
			d, _ := b.find(payload)
			return d, nil
		}
		select {
		case <-change:
		case <-timeout.C:
			return delivery{}, fmt.Errorf("%.100q did not come within %v", payload, patience)
		}
	}
}

// packet waits for a payload, and is the PUBLISH that it came in. The inbox has to keep packets.
func (b *inbox) packet(payload string) (*mqtt.Publish, error) {
	if _, err := b.await(payload); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.packets[payload], nil
}

func (b *inbox) look(payload string) (change <-chan struct{}, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count[payload] > 0 {
		return nil, true
	}
	if b.change == nil {
		b.change = make(chan struct{})
	}
	return b.change, false
}
