package local_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// retaining is a store whose retained messages are looked at.
type retaining struct {
	*testing.T
	*local.Store
	clock *storetest.Clock
}

func openRetaining(t *testing.T, o local.Options) *retaining {
	t.Helper()
	clock := storetest.NewClock()
	o.Dir, o.FS, o.Clock, o.DiskReserve = "data", crashfs.New(1), clock.Now, -1
	s, err := local.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &retaining{t, s, clock}
}

type done struct{ err chan error }

func (d done) Appended(_ uint64, _ store.Position, err error) { d.err <- err }

func (r *retaining) retain(topic, payload string, qos byte) error {
	d := done{make(chan error, 1)}
	r.Append(&store.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: true}, d, 0)
	return <-d.err
}

func (r *retaining) must(topic, payload string) {
	r.Helper()
	if err := r.retain(topic, payload, 1); err != nil {
		r.Fatal(err)
	}
}

func (r *retaining) refused(topic, payload string) {
	r.Helper()
	for qos := range byte(3) {
		if err := r.retain(topic, payload, qos); !errors.Is(err, store.ErrQuota) {
			r.Fatalf("QoS %d: %v", qos, err)
		}
	}
}

// end is the log's end.
func (r *retaining) end() []store.Position {
	r.Helper()
	at, err := r.Watch("#")
	if err != nil {
		r.Fatal(err)
	}
	return at
}

func (r *retaining) count(filter string) int {
	r.Helper()
	recs, next, err := r.Retained(filter, "", r.end(), 1<<20)
	if err != nil || next != "" {
		r.Fatal(err, next)
	}
	return len(recs)
}

// The number of topics is limited below each first level; one that is there may be replaced, and ending one makes room.
func TestRetainedTopicsAreLimited(t *testing.T) {
	r := openRetaining(t, local.Options{MaxRetained: 3})
	for i := range 3 {
		r.must(fmt.Sprint("a/", i), "x")
	}
	r.refused("a/3", "x")
	r.refused("a", "x")
	r.must("a/1", "replaced")
	r.must("b/1", "another first level")
	r.must("a/3", "") // ends what is not there
	r.must("a/0", "")
	r.must("a/3", "x")
	r.refused("a/0", "x")
	if n := r.count("#"); n != 4 {
		t.Errorf("%d messages are retained", n)
	}
}

// The size of all together is limited.
func TestRetainedBytesAreLimited(t *testing.T) {
	r := openRetaining(t, local.Options{MaxRetainedBytes: 1000})
	large := string(make([]byte, 400))
	r.must("a", large)
	r.must("b", large)
	r.refused("c", large)
	r.must("a", large)
	r.must("a", "small")
	r.must("c", large)
	r.refused("a", large)
}

// What has expired is neither found nor counted after a while, by the message's own time or by that of the store; a newer one is not touched.
func TestRetainedExpire(t *testing.T) {
	r := openRetaining(t, local.Options{RetainFor: time.Hour, MaxRetained: 100, CheckInterval: time.Millisecond})
	for i := range 100 {
		r.must(fmt.Sprint("a/", i), "x")
	}
	r.refused("a/more", "x")
	r.clock.Advance(59 * time.Minute)
	r.must("a/5", "newer")
	if n := r.count("a/+"); n != 100 {
		t.Fatalf("%d messages are retained", n)
	}
	r.clock.Advance(2 * time.Minute)
	if n := r.count("a/+"); n != 1 {
		t.Fatalf("%d messages are retained after their time", n)
	}
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; i < 99; {
		if err := r.retain(fmt.Sprint("a/new", i), "x", 1); err == nil {
			i++
		} else if !errors.Is(err, store.ErrQuota) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if n := r.count("a/+"); n != 100 {
		t.Fatalf("%d messages are retained", n)
	}
	r.refused("a/more", "x")
}

// A retained message outlives the segment that it came in, for those who are still to acknowledge it too.
func TestRetainedOutlivesItsSegment(t *testing.T) {
	r := openRetaining(t, local.Options{SegmentSize: 4096, RetentionBytes: 8192, CheckInterval: time.Millisecond})
	r.must("t", "kept")
	recs, _, err := r.Retained("t", "", r.end(), 100)
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	at := recs[0].Position
	deadline := time.Now().Add(20 * time.Second)
	for dropped := false; !dropped; {
		d := done{make(chan error, 1)}
		r.Append(&store.Message{Topic: "x", Payload: make([]byte, 500), QoS: 1}, d, 0)
		if err := <-d.err; err != nil || time.Now().After(deadline) {
			t.Fatal(err)
		}
		_, _, missed, err := r.Read(store.Position{}, nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		dropped = missed > at.Offset
	}
	if n := r.count("t"); n != 1 {
		t.Fatal("it is gone")
	}
	if rec, err := r.Get(at); err != nil || string(rec.Payload) != "kept" {
		t.Fatal(rec, err)
	}
	r.must("t", "replaced")
	if _, err := r.Get(at); !errors.Is(err, store.ErrExpired) {
		t.Fatal(err)
	}
}
