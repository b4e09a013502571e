package local_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// history is a run of one workload over crashes: what was done to the store and what it has answered.
type history struct {
	t     *testing.T
	clock *storetest.Clock
	fs    *crashfs.FS
	opts  setting
	rng   *rand.Rand
	store *local.Store

	model *storetest.Model // after all steps that are certain
	kept  []string         // payloads of the messages among them
	open  []storetest.Step // issued since, not certain
	seq   int

	mu    sync.Mutex
	acked int   // guarded by mu: how many of open were answered well
	wrong error // guarded by mu: an answer out of turn
}

func newHistory(t *testing.T, seed uint64, opts setting) *history {
	clock := storetest.NewClock()
	opts.Dir, opts.Clock, opts.DiskReserve = "data", clock.Now, -1
	if opts.CheckInterval == 0 {
		opts.CheckInterval = time.Hour
	}
	return &history{
		t: t, clock: clock, fs: crashfs.New(seed), opts: opts, rng: rand.New(rand.NewPCG(seed, 1)),
		model: storetest.NewModel(),
	}
}

// start opens the store. An error is only right when something was wrong with the file system.
func (h *history) start() error {
	h.opts.FS = h.fs
	s, err := local.Open(h.opts.Options)
	if err != nil {
		return err
	}
	h.store = s
	return nil
}

// answered is the completion of one step.
type answered struct {
	h    *history
	turn int
	wg   *sync.WaitGroup
}

// Appended implements store.Completion.
func (a answered) Appended(_ uint64, _ store.Position, err error) {
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	if err == nil && a.h.acked != a.turn {
		a.h.wrong = fmt.Errorf("step %d was acknowledged when %d were", a.turn, a.h.acked)
	}
	if err == nil {
		a.h.acked++
	} else if !errors.Is(err, store.ErrFailed) && !errors.Is(err, store.ErrClosed) {
		a.h.wrong = fmt.Errorf("a step was refused with %w", err)
	}
	a.wg.Done()
}

// steps does n random steps, a few of them at a time; it ends early when the store has failed.
func (h *history) steps(n int) {
	h.t.Helper()
	script := storetest.Script{Rng: h.rng, Now: h.clock.Now, Changelog: true}
	for n > 0 && h.store.Err() == nil {
		group := min(n, 1+h.rng.IntN(4))
		n -= group
		var wg sync.WaitGroup
		for range group {
			s := script.Next()
			if s.Message != nil {
				h.seq++
				s.Message.Payload = append(fmt.Appendf(nil, "%06d ", h.seq), make([]byte, h.rng.IntN(h.opts.payload))...)
			}
			h.open = append(h.open, s)
			wg.Add(1)
			done := answered{h, len(h.open) - 1, &wg}
			if s.Change != nil {
				h.store.Change(s.Change, done, 0)
			} else {
				h.store.Append(s.Message, done, 0)
			}
		}
		wg.Wait()
		if h.acked == len(h.open) {
			h.settle(len(h.open))
			h.clock.Advance(time.Duration(h.rng.IntN(500)) * time.Millisecond)
		}
	}
	if h.wrong != nil {
		h.t.Fatal(h.wrong)
	}
}

// settle makes the first n open steps certain and forgets the others.
func (h *history) settle(n int) {
	h.kept = h.after(h.model, n)
	h.open, h.acked = nil, 0
}

// after does the first n open steps to m and returns the messages that there are then.
func (h *history) after(m *storetest.Model, n int) []string {
	kept := slices.Clip(h.kept)
	for _, s := range h.open[:n] {
		m.Do(s, h.clock.Now())
		if s.Message != nil {
			kept = append(kept, string(s.Message.Payload))
		}
	}
	return kept
}

// stop closes the store, whatever it says.
func (h *history) stop() {
	if h.store != nil {
		h.store.Close() //nolint:errcheck // a store that has failed may say so
		h.store = nil
	}
}

// check opens the store and compares it with what it may hold: every step that was acknowledged, then some of those
// that were not, in their order, and nothing else. These are certain from then on.
func (h *history) check() {
	h.t.Helper()
	if err := h.start(); err != nil {
		h.t.Fatalf("open after the fault: %v", err)
	}
	end := h.probe()
	got := h.read()
	var why []string
	for n := h.acked; n <= len(h.open); n++ {
		model := h.model.Clone()
		kept := h.after(model, n)
		model.Open(end, h.clock.Now().UnixMilli())
		err := storetest.Compare(h.store, model, h.clock.Now())
		if err == nil {
			err = sameEnd(got, kept)
		}
		if err == nil {
			h.model, h.kept, h.open, h.acked = model, kept, nil, 0
			return
		}
		why = append(why, fmt.Sprintf("with %d of %d unacknowledged steps: %v", n-h.acked, len(h.open)-h.acked, err))
	}
	h.t.Fatalf("the store holds something else than was acknowledged:\n%s", strings.Join(why, "\n"))
}

// sameEnd compares what is read with what was kept. Retention may have dropped the beginning.
func sameEnd(got, want []string) error {
	if len(got) > len(want) || !slices.Equal(got, want[len(want)-len(got):]) {
		return fmt.Errorf("%d messages are read and %d were kept, or others", len(got), len(want))
	}
	return nil
}

// read returns the payloads of all messages.
func (h *history) read() []string {
	h.t.Helper()
	var out []string
	for from := (store.Position{}); ; {
		recs, next, missed, err := h.store.Read(from, &store.Query{Filters: []string{"#"}, Match: func(string) bool { return true }}, 1000)
		if err != nil || missed > 0 && h.opts.RetentionBytes == 0 {
			h.t.Fatalf("read from %d: missed %d, error %v", from.Offset, missed, err)
		}
		if missed > 0 { // retention is at work: what it has overtaken does not count
			out = out[:0]
		}
		for i := range recs {
			out = append(out, string(recs[i].Payload))
		}
		if next == from.Offset {
			return out
		}
		from.Offset = next
	}
}

// probe returns the log's end when the store was opened, and shows that it can be written.
func (h *history) probe() []store.Position {
	h.t.Helper()
	var wg sync.WaitGroup
	wg.Add(2)
	h.store.Change(&store.Change{Kind: store.Connect, Client: "probe"}, probed{h.t, &wg}, 0)
	h.store.Change(&store.Change{Kind: store.Checkpoint}, probed{h.t, &wg}, 0)
	wg.Wait()
	s, err := h.store.Load("probe")
	if err != nil || s == nil {
		h.t.Fatalf("load: %v, %v", s, err)
	}
	wg.Add(1)
	h.store.Change(&store.Change{Kind: store.Remove, Client: "probe"}, probed{h.t, &wg}, 0)
	wg.Wait()
	return s.SentUpTo
}

type probed struct {
	t  *testing.T
	wg *sync.WaitGroup
}

// Appended implements store.Completion.
func (p probed) Appended(_ uint64, _ store.Position, err error) {
	if err != nil {
		p.t.Errorf("the store does not take changes: %v", err)
	}
	p.wg.Done()
}

// workload opens the store, does something, closes it, and does something after another open.
func (h *history) workload() error {
	for range 2 {
		if err := h.start(); err != nil {
			return err
		}
		h.model.Open(nil, h.clock.Now().UnixMilli())
		h.steps(30)
		failed := h.store.Err()
		h.stop()
		if failed != nil {
			return failed
		}
	}
	return nil
}

// setting is a way to run the workload.
type setting struct {
	local.Options
	payload int   // bytes, at most
	step    int64 // only every so many operations are tried in one round; 0: all
}

// small makes a workload of some dozen steps cross several segments.
func small() setting {
	return setting{Options: local.Options{SegmentSize: 4096, RecentBytes: 2048, MaxRecord: 64 << 10}, payload: 500}
}

// large makes batches of many disk blocks, of which a crash may keep any.
func large() setting {
	return setting{Options: local.Options{SegmentSize: 64 << 10, RecentBytes: 2048, MaxRecord: 64 << 10}, payload: 9000, step: 3}
}

// retained makes retention drop segments all the time.
func retained() setting {
	s := small()
	s.RetentionBytes, s.CheckInterval, s.step = 8192, time.Millisecond, 3
	return s
}

// rounds is how many different workloads a test runs.
func rounds(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv("ROCKETMQTT_CRASH_ROUNDS")
	if s == "" {
		return 1
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		t.Fatalf("ROCKETMQTT_CRASH_ROUNDS=%s is not a number above 0", s)
	}
	return n
}

// everywhere calls f for every workload and n = 1, 2, 3 ... until it says that nothing happened at the n-th operation.
// With a step the rounds take turns.
func everywhere(t *testing.T, set setting, f func(h *history, n int64) (happened bool)) {
	for seed := range rounds(t) {
		step := max(set.step, 1)
		n := 1 + int64(seed)%step
		for ; f(newHistory(t, seed, set), n); n += step {
			if t.Failed() {
				t.Fatalf("seed %d, operation %d", seed, n)
			}
		}
		if n < 20 {
			t.Fatalf("seed %d: the workload has only %d operations", seed, n)
		}
		t.Logf("seed %d: %d operations", seed, n)
	}
}

// A crash at any operation, in the log as in the view, while opening as while running, loses nothing acknowledged and
// invents nothing; neither does a second crash during the recovery from it.
func TestCrashAtEveryOperation(t *testing.T) {
	for name, set := range map[string]setting{"small segments": small(), "large batches": large(), "retention": retained()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, set, func(h *history, n int64) bool {
				h.fs.Set(crashfs.Fault{At: n})
				h.workload() //nolint:errcheck // the crash may be noticed anywhere, or in the background
				h.stop()
				happened := h.fs.Crashed()
				h.fs = h.fs.Restart()
				if n%3 == 0 {
					h.fs.Set(crashfs.Fault{At: 1 + h.rng.Int64N(25)})
					h.start() //nolint:errcheck // it may crash
					h.stop()
					h.fs = h.fs.Restart()
				}
				h.check()
				h.steps(10)
				h.stop()
				h.check()
				h.stop()
				return happened
			})
		})
	}
}

// An operation that fails, be it a write, a sync or another one, stops the store or does not matter: nothing is
// acknowledged that is not kept, also when the power goes after the restart; and no segment is synced again after a
// failed sync, which would succeed and lie.
func TestErrorAtEveryOperation(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault crashfs.Fault
		set   setting
	}{
		{"EIO", crashfs.Fault{Err: syscall.EIO}, small()},
		{"EIO in batches of many disk blocks", crashfs.Fault{Err: syscall.EIO}, large()},
		{"EIO with retention", crashfs.Fault{Err: syscall.EIO}, retained()},
		{"ENOSPC", crashfs.Fault{Err: syscall.ENOSPC, Ops: crashfs.OpWrite | crashfs.OpMeta}, small()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, c.set, func(h *history, n int64) bool {
				fault := c.fault
				fault.At = n
				h.fs.Set(fault)
				h.workload() //nolint:errcheck // the error may be noticed anywhere, or nowhere
				h.stop()
				happened := h.fs.Clear()
				h.check() // the process starts again
				h.stop()
				for _, name := range h.fs.Retried() {
					if strings.HasPrefix(name, "data/log/") {
						t.Errorf("after a failed sync of %s it was synced again", name)
					}
				}
				h.fs = h.fs.Restart() // the power goes
				h.check()
				h.stop()
				return happened
			})
		})
	}
}
