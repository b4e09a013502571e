package crash

import (
	"bytes"
	"fmt"
	"sync"
)

// stream is what one publisher sends on one topic with one QoS: numbers from 0 on. Its publisher sends each until it is acknowledged, in order, so every
// number reaches every session that subscribed before the first, in order.
type stream struct {
	index     int
	publisher string
	topic     string
	qos       byte

	mu    sync.Mutex
	sent  int64         // numbers below were sent once at least
	acked int64         // how many were acknowledged
	again map[int64]int // how often a number was sent again
}

// message is one number of a stream.
type message struct {
	*stream
	n int64
}

func (m message) String() string {
	if m.stream == nil {
		return "-"
	}
	return fmt.Sprintf("%s %s QoS %d #%d", m.publisher, m.topic, m.qos, m.n)
}

// next takes the next number; it counts as sent from now on.
func (s *stream) next() message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	return message{s, s.sent - 1}
}

func (s *stream) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func (s *stream) acknowledged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked++
}

// sentAgain counts one more attempt.
func (m message) sentAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.again == nil {
		m.again = map[int64]int{}
	}
	m.again[m.n]++
}

// attempts is how often the publisher has sent it.
func (m message) attempts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 1 + m.again[m.n]
}

func (s *stream) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d sent, %d acknowledged, %d of them sent again", s.sent, s.acked, len(s.again))
}

const (
	largeEvery = 64 // one message in so many has
	largeBytes = 4 << 10
	smallBytes = 64
)

// payload names the message and fills it up to a size that depends on its number.
func (m message) payload() []byte {
	size := smallBytes
	if m.n%largeEvery == largeEvery-1 {
		size = largeBytes
	}
	b := fmt.Appendf(make([]byte, 0, size), "%d %d ", m.index, m.n)
	return append(b, bytes.Repeat([]byte{'.'}, size-len(b))...)
}

// parse finds the message that came with this topic and payload, and checks that it came whole.
func (tr *trial) parse(topic, payload []byte) (message, error) {
	var index int
	var n int64
	if _, err := fmt.Sscanf(string(payload), "%d %d ", &index, &n); err != nil || index < 0 || index >= len(tr.streams) {
		return message{}, fmt.Errorf("a payload that nobody sent: %.80q on %q", payload, topic)
	}
	m := message{tr.streams[index], n}
	if string(topic) != m.topic || !bytes.Equal(payload, m.payload()) || n >= m.total() {
		return message{}, fmt.Errorf("a message that nobody sent: %.80q, %d bytes, on %q", payload, len(payload), topic)
	}
	return m, nil
}
