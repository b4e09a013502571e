package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// stream is what one publisher sends to one topic at one QoS: payloads "name n", n from 0 on. Its methods are for any goroutine.
type stream struct {
	topic, name string
	qos         byte

	mu      sync.Mutex
	sent    []int // by number: how often it was
	acked   []bool
	taken   int // numbers that are acknowledged
	refused int
}

// next begins a message.
func (s *stream) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.acked = append(s.sent, 1), append(s.acked, false)
	return len(s.sent) - 1
}

func (s *stream) sentAgain(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[n]++
}

func (s *stream) attempts(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[n]
}

// answered notes that the server has the message n, or has refused it.
func (s *stream) answered(n int, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case refused:
		s.refused++
	case !s.acked[n]:
		s.acked[n] = true
		s.taken++
	}
}

func (s *stream) count() (begun, taken, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent), s.taken, s.refused
}

// lacks is the first number that is acknowledged and not in seen; -1: none.
func (s *stream) lacks(seen map[int]int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, acked := range s.acked {
		if acked && seen[n] == 0 {
			return n
		}
	}
	return -1
}

func (s *stream) payload(n int) []byte { return fmt.Append(nil, s.name, " ", n) }

// parse takes a payload apart.
func parse(payload []byte) (name string, n int, err error) {
	name, number, ok := strings.Cut(string(payload), " ")
	if ok {
		n, err = strconv.Atoi(number)
	}
	if !ok || err != nil {
		return "", 0, fmt.Errorf("%.100q is no payload of a stream", payload)
	}
	return name, n, nil
}
