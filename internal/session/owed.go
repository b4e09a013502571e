package session

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// owedMost is how many wills this process publishes at a time. More wait, also those of other processes that have died: they are in the store.
const owedMost = 256

// owedWills are those on their way where several processes share the store.
type owedWills struct {
	shared bool          // they do
	slots  chan struct{} // owedMost

	mu   sync.Mutex
	busy map[string]struct{} // by client id and will
}

func (o *owedWills) init(m *Manager) {
	o.shared = m.groups.shared
	o.slots = make(chan struct{}, owedMost)
	o.busy = map[string]struct{}{}
}

// take has a will be on its way; false: it is already.
func (o *owedWills) take(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, is := o.busy[name]; is {
		return false
	}
	o.busy[name] = struct{}{}
	return true
}

func (o *owedWills) give(name string) {
	o.mu.Lock()
	delete(o.busy, name)
	o.mu.Unlock()
	<-o.slots
}

// keepWills publishes the wills that this process is to publish, until it stops. It has a goroutine of its own, since it may wait for what is out of reach.
func (m *Manager) keepWills() {
	t := time.NewTicker(m.opts.Limits.ProgressInterval)
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-m.opts.Store.Failed():
			return
		case <-t.C:
		}
		for m.sweepOwed() {
		}
	}
}

// sweepOwed publishes what is owed now. more says that there may be more of it.
func (m *Manager) sweepOwed() (more bool) {
	for from := ""; ; {
		list, next, err := m.opts.Store.Owed(m.opts.Now(), from, sweepMost)
		if err != nil {
			m.log.Error("listing the wills that are owed failed", "err", err)
			return false
		}
		for _, o := range list {
			select {
			case m.owed.slots <- struct{}{}:
				more = m.publishOwed(o) && len(list) >= sweepMost || more
			case <-m.stop:
				return false
			}
		}
		if next == "" {
			return more
		}
		from = next
	}
}

// publishAtOnce publishes the will of a connection whose end is durable, if nothing has to be waited for; else the sweep does.
func (m *Manager) publishAtOnce(c *Client) {
	c.mu.Lock()
	w := c.will
	c.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing || w == nil {
		return
	}
	select {
	case m.owed.slots <- struct{}{}:
		m.publishOwed(store.Owed{Client: c.id, Will: w})
	default:
	}
}

// publishOwed begins to publish a will; false: it is on its way already. The caller has taken a slot.
func (m *Manager) publishOwed(o store.Owed) bool {
	name := strconv.FormatUint(o.Will.ID, 16) + o.Client
	if !m.owed.take(name) {
		<-m.owed.slots
		return false
	}
	m.stopped.Go(func() {
		defer m.owed.give(name)
		m.publishOne(&o)
	})
	return true
}

// publishOne publishes a will, unless another process does. When this process stops meanwhile, another one goes on.
func (m *Manager) publishOne(o *store.Owed) {
	msg := m.willMessage(o.Client, o.Will)
	msg.Client, msg.Will, msg.WillID = o.Client, true, o.Will.ID
	if err := m.appendWill(o.Client, msg); err != nil && !errors.Is(err, errStopping) {
		m.log.Error("a will could not be published; it is tried again, unless its topic can take no messages or it is too large", "client", o.Client, "topic", o.Will.Topic, "err", err)
	}
}
