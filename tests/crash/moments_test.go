package crash

import "sync"

// moment is a step of the protocol that a client took or saw: the broker is killed right after one.
type moment string

const (
	accepted  moment = "CONNACK"
	published moment = "PUBLISH from a publisher"
	stored1   moment = "PUBACK to a publisher"
	stored2   moment = "PUBREC to a publisher"
	releasing moment = "PUBREL from a publisher"
	released  moment = "PUBCOMP to a publisher"
	sent1     moment = "PUBLISH of QoS 1 to a subscriber"
	sent2     moment = "PUBLISH of QoS 2 to a subscriber"
	acked1    moment = "PUBACK from a subscriber"
	received2 moment = "PUBREC from a subscriber"
	released2 moment = "PUBREL to a subscriber"
	done2     moment = "PUBCOMP from a subscriber"
	added     moment = "SUBACK"
	removed   moment = "UNSUBACK"
)

// often are the moments that come by the hundred a second, rare the others.
func often() []moment {
	return []moment{published, stored1, stored2, releasing, released, sent1, sent2, acked1, received2, released2, done2}
}

func rare() []moment { return []moment{accepted, added, removed} }

// moments lets one goroutine wait for the n-th time that something happens.
type moments struct {
	mu   sync.Mutex
	want moment
	left int
	hit  chan struct{}
}

// await returns a channel that is closed when m has happened n times from now.
func (ms *moments) await(m moment, n int) <-chan struct{} {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.want, ms.left, ms.hit = m, n, make(chan struct{})
	return ms.hit
}

func (ms *moments) saw(m moment) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m != ms.want || ms.left == 0 {
		return
	}
	if ms.left--; ms.left == 0 {
		close(ms.hit)
	}
}
