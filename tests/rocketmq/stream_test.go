package rocketmq

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

const unanswered = 20 // messages that a stream has under way at most

// stream is what one publisher sends to one topic at one QoS: payloads "name n", n from 0 on. run is for one goroutine, the rest for any.
type stream struct {
	topic, name string
	qos         byte
	size        int           // bytes that payloads are filled up to
	pace        time.Duration // between messages

	mu       sync.Mutex
	began    []time.Time
	answered int           // from the first on
	acked    []int         // numbers that the server has taken
	refused  []answer      // what it said of others
	longest  time.Duration // that an answer took
}

// run publishes until stop is closed, and then waits for all answers. It returns early when the connection ends.
func (s *stream) run(c *client, stop <-chan struct{}) {
	pace := time.NewTicker(s.pace)
	defer pace.Stop()
	waits := make(chan (<-chan answer), unanswered)
	var answers sync.WaitGroup
	answers.Go(func() {
		for n := 0; ; n++ {
			wait, more := <-waits
			if !more {
				return
			}
			s.answer(n, <-wait)
		}
	})
	defer answers.Wait()
	defer close(waits)
	for {
		select {
		case <-stop:
			return
		case <-c.ended:
			return
		case <-pace.C:
			select {
			case waits <- c.send(s.message()):
			case <-c.ended:
				return
			}
		}
	}
}

func (s *stream) message() *mqtt.Publish {
	s.mu.Lock()
	defer s.mu.Unlock()
	payload := fmt.Sprintf("%s %d ", s.name, len(s.began))
	payload += strings.Repeat("x", max(0, s.size-len(payload)))
	s.began = append(s.began, time.Now())
	return &mqtt.Publish{QoS: s.qos, Topic: []byte(s.topic), Payload: []byte(payload)}
}

func (s *stream) answer(n int, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered++
	s.longest = max(s.longest, time.Since(s.began[n]))
	if a.ok() == nil {
		s.acked = append(s.acked, n)
	} else {
		s.refused = append(s.refused, a)
	}
}

// taken is how many the server has taken.
func (s *stream) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

func (s *stream) refusals() []answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]answer(nil), s.refused...)
}

// waits is how long the oldest message without an answer has waited.
func (s *stream) waits() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered == len(s.began) {
		return 0
	}
	return time.Since(s.began[s.answered])
}

// check says what is wrong with what a subscriber has got of s so far: the first ones that were taken, in order unless that may have changed, and
// nothing twice where both sides have QoS 2.
func (s *stream) check(b *inbox, granted byte, ordered bool, taken int) error {
	s.mu.Lock()
	acked := append([]int(nil), s.acked[:taken]...)
	s.mu.Unlock()
	seen := map[int]bool{}
	last := -1
	for _, d := range b.deliveries() {
		n, mine := s.number(d.payload)
		switch {
		case !mine:
			continue
		case d.topic != s.topic || d.qos != min(s.qos, granted):
			return fmt.Errorf("%s %d came on %s at QoS %d", s.name, n, d.topic, d.qos)
		case seen[n] && d.qos == 2:
			return fmt.Errorf("%s %d came twice at QoS 2", s.name, n)
		case !seen[n] && n < last && ordered:
			return fmt.Errorf("%s %d came after %d", s.name, n, last)
		}
		seen[n] = true
		last = max(last, n)
	}
	for _, n := range acked {
		if !seen[n] {
			return fmt.Errorf("%s %d was acknowledged and did not come; %d of %d did, last %d", s.name, n, len(seen), len(acked), last)
		}
	}
	return nil
}

func (s *stream) number(payload string) (int, bool) {
	rest, ok := strings.CutPrefix(payload, s.name+" ")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// load is streams under way.
type load struct {
	streams []*stream
	stop    chan struct{}
	running sync.WaitGroup
	once    sync.Once
}

// start runs a stream over a connection.
func (l *load) start(c *client, s *stream) {
	if l.stop == nil {
		l.stop = make(chan struct{})
	}
	if s.pace == 0 {
		s.pace = 5 * time.Millisecond
	}
	l.streams = append(l.streams, s)
	l.running.Go(func() { s.run(c, l.stop) })
}

// end stops publishing and waits for all answers.
func (l *load) end() {
	l.once.Do(func() {
		if l.stop != nil {
			close(l.stop)
		}
	})
	l.running.Wait()
}

// progress waits until every stream has so many more messages taken.
func (l *load) progress(t testing.TB, what string, more int) {
	t.Helper()
	before := make([]int, len(l.streams))
	for i, s := range l.streams {
		before[i] = s.taken()
	}
	eventually(t, what+": publishing goes on", func() bool {
		for i, s := range l.streams {
			if s.taken() < before[i]+more {
				return false
			}
		}
		return true
	}, l.state)
}

func (l *load) state() string {
	var b strings.Builder
	for _, s := range l.streams {
		fmt.Fprintf(&b, "%s: %d taken, %d refused, waits for %v\n", s.name, s.taken(), len(s.refusals()), s.waits())
	}
	return b.String()
}

// stalls waits until a message has waited for so long.
func (l *load) stalls(t testing.TB, what string, d time.Duration) {
	t.Helper()
	eventually(t, what+": publishers wait", func() bool {
		for _, s := range l.streams {
			if s.waits() > d {
				return true
			}
		}
		return false
	}, l.state)
}

// unrefused fails when a publish was.
func (l *load) unrefused(t testing.TB) {
	t.Helper()
	for _, s := range l.streams {
		if r := s.refusals(); len(r) > 0 {
			t.Errorf("%s: %d publishes were refused: %v", s.name, len(r), r[0].ok())
		}
	}
}

// arrives waits until a subscriber has all that was taken, and fails when something is wrong with it.
func (l *load) arrives(t testing.TB, who string, b *inbox, granted byte, ordered bool) {
	t.Helper()
	for _, s := range l.streams {
		var err error
		taken := s.taken() // the stream goes on
		eventually(t, who+" gets all", func() bool {
			err = s.check(b, granted, ordered, taken)
			return err == nil
		}, func() string { return err.Error() + "\n" + b.state() })
	}
}
