// Package storetest is the suite that every store.Store passes.
//
// A test calls Run with a function that makes an empty Backend; every case gets one of its own. A Backend that can
// crash is tested for what survives as well. Model says what the sessions' changelog means; implementations use it in
// tests of their own.
package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Backend is one store's place: a directory, a cluster, whatever Open finds again what an earlier store left in.
type Backend struct {
	// Open opens the store; at most one is open at a time.
	Open func() (store.Store, error)
	// Crash ends the open store as a power loss would: without Close, and only what was durable is found by the next
	// Open. nil: not supported.
	Crash func()
	// TooLarge is the size of a payload that the store refuses; 0: it has no limit that can be tested.
	TooLarge int

	// The rest tells what a store on a network is free to do. The zero value is a store on one disk.

	// Prefix is the first level that all topics of the case get; "": none. With one of its own for every case, all cases
	// may use the same place: what others have written is neither read nor seen.
	Prefix string
	// ManyQueues: messages are in order by topic only, and are answered so; what was answered may be read, and a will
	// be gone, a moment later; what Load says in SentUpTo of a connected session is the store's own business.
	ManyQueues bool
	// Later: QoS 0 comes through the log.
	Later bool
	// LongestTopic is how many bytes a topic may have with the properties of the suite's messages, and not more than a hundred levels; 0: as many as in
	// MQTT.
	LongestTopic int
	// NoRetained: the store keeps no retained messages. No message is published with RETAIN.
	NoRetained bool
	// Shared: several processes may share the store. Then the log's time counts for what it says of sessions, not the clock's; a process that closes it while
	// sessions are connected leaves them to the others; and a checkpoint counts a moment later.
	Shared bool
	// Now is the time that records get; nil: the clock's.
	Now func() time.Time
}

// Clock is the time of the stores under test. It moves only when told.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock returns a clock that stands at a fixed date.
func NewClock() *Clock { return &Clock{now: time.UnixMilli(1_700_000_000_000)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Run runs the suite. make returns an empty backend whose stores use clock as their time.
func Run(t *testing.T, makeBackend func(t *testing.T, clock *Clock) Backend) {
	for _, c := range []struct {
		name string
		f    func(*fixture)
	}{
		{"messages reach the sink and readers as they were published", testMessages},
		{"a publisher may use its buffers again", testCopies},
		{"every append is answered once, in order, with the place that the sink sees", testOrder},
		{"parallel publishers keep their own order", testParallel},
		{"QoS 0 is handed over", testQoS0},
		{"Next is raised before the sink is called", testNext},
		{"what is watched is handed over", testWatched},
		{"Watch lies at or below what is appended later", testWatch},
		{"At lies at or below what was stored from that time on", testAt},
		{"a message that is too large is refused and nothing else", testTooLarge},
		{"Read finds what the filters want", testReadFilters},
		{"Read stops and goes on", testReadSteps},
		{"Read keeps up with appends", testReadTail},
		{"Get returns a message by its place", testGet},
		{"each change does what it says", testChanges},
		{"changes of a session that is gone do nothing", testGone},
		{"an incoming QoS 2 message is noted with itself", testReceived},
		{"a message on its way to where it is stored", testPending},
		{"a note by queue", testNotes},
		{"checkpoints move sessions that follow, and no others", testCheckpoint},
		{"a session that its process left connected", testLeftConnected},
		{"shared groups begin, progress and end", testGroups},
		{"what processes have of a shared group", testShares},
		{"a retained message is the last one of its topic", testRetained},
		{"retained messages are found by every filter that matches", testRetainedFilters},
		{"a retained message of QoS 0 is found by who subscribes later", testRetainedQoS0},
		{"wills are due, done and replaced", testWills},
		{"expired sessions are listed, the longest due first", testExpired},
		{"names of any length and content", testNames},
		{"random changes mean what the model says", testRandom},
		{"a change is visible before it is answered", testVisible},
		{"Close waits, is idempotent, and everything after it is refused", testClose},
		{"what was acknowledged survives crashes", testCrash},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t, clock: NewClock()}
			f.backend = makeBackend(t, f.clock)
			defer f.close()
			f.open()
			c.f(f)
		})
	}
}
