package session

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
)

// cluster is several processes: they have the messages of one embedded store, and the sessions' changelog in a log that all of them read.
type cluster struct {
	t     *testing.T
	store store.Store
	nodes []*process

	mu   sync.Mutex
	more sync.Cond
	log  [clusterQueues][]changelog.Entry
}

const clusterQueues = 3

// process is one of them; it is its Manager's store.
type process struct {
	store.Store
	*broker
	cluster *cluster
	log     *changelog.Changelog
	sink    func([]store.Record)
	shared  func(filter string)
	taken   func(client string)
	tasks   sync.WaitGroup

	mu   sync.Mutex
	dead bool // nothing that it writes arrives, and it reads nothing
}

func newCluster(t *testing.T, processes int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	c.more.L = &c.mu
	st, err := local.Open(local.Options{Dir: "data", FS: vfs.NewMem(), DiskReserve: -1, RetentionTime: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.store = newManyQueues(st)
	t.Cleanup(func() {
		for _, p := range c.nodes {
			p.kill()
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	c.store.Follow(c.deliver)
	for range processes {
		c.start()
	}
	return c
}

func (c *cluster) deliver(batch []store.Record) {
	for _, p := range c.nodes {
		p.sink(batch)
	}
}

// start starts a process; all of them before the first message.
func (c *cluster) start() {
	c.t.Helper()
	p := &process{Store: c.store, cluster: c}
	var err error
	p.log, err = changelog.Open(changelog.Options{
		Dir: "view", FS: vfs.NewMem(), Queues: clusterQueues, Log: recordsOf{p}, Beat: 200 * time.Millisecond, FenceAfter: 2 * time.Second,
		Taken:  func(client string) { p.taken(client) },
		Shared: func(filter string) { p.shared(filter) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	p.broker = &broker{t: c.t, clock: newClock(), auth: everybody{}}
	p.m, err = New(Options{
		Store: p, Router: router.New(), Auth: everybody{}, Log: slog.New(slog.DiscardHandler), Limits: Limits{ProgressInterval: 10 * time.Millisecond},
		Capabilities: Capabilities{Will: true},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes = append(c.nodes, p)
	for q := range clusterQueues {
		if err := p.log.Begin(q); err != nil {
			c.t.Fatal(err)
		}
		p.tasks.Go(func() { p.read(q) })
	}
	p.tasks.Go(p.tick)
}

// kill ends a process without a word to the others.
func (p *process) kill() {
	p.mu.Lock()
	was := p.dead
	p.dead = true
	p.mu.Unlock()
	if was {
		return
	}
	p.cluster.mu.Lock()
	p.cluster.more.Broadcast()
	p.cluster.mu.Unlock()
	p.tasks.Wait()
	if err := p.log.Close(); err != nil {
		p.t.Error(err)
	}
	p.m.Disconnect()
	p.open.Wait()
	if err := p.m.Close(p.t.Context()); err != nil && p.t.Context().Err() == nil {
		p.t.Error(err)
	}
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// recordsOf is the log as a process writes to it.
type recordsOf struct{ p *process }

// Away implements changelog.Log.
func (recordsOf) Away(int) error { return nil }

// Append implements changelog.Log.
func (r recordsOf) Append(q int, record []byte) {
	p := r.p
	if p.isDead() {
		return
	}
	c := p.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log[q] = append(c.log[q], changelog.Entry{Offset: int64(len(c.log[q])), Time: time.Now().UnixMilli(), Data: record})
	c.more.Broadcast()
}

// read reads one queue of the changelog on.
func (p *process) read(q int) {
	c := p.cluster
	for next := 0; ; {
		c.mu.Lock()
		for len(c.log[q]) == next && !p.isDead() {
			c.more.Wait()
		}
		entries := c.log[q][next:]
		c.mu.Unlock()
		if p.isDead() {
			return
		}
		next += len(entries)
		if err := p.log.Read(q, entries, int64(next), nil); err != nil {
			p.t.Error(err)
		}
	}
}

func (p *process) tick() {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for range t.C {
		if p.isDead() {
			return
		}
		p.log.Tick()
	}
}

// Follow implements store.Store.
func (p *process) Follow(sink func([]store.Record)) { p.sink = sink }

// Shared implements store.Store.
func (p *process) Shared(f func(string)) bool { p.shared = f; return true }

// Share implements store.Store.
func (p *process) Share(filter string, seen int64) (*store.Share, error) {
	return p.log.Share(filter, seen)
}

// Report implements store.Store.
func (p *process) Report(r *store.ShareReport, done store.Completion, token uint64) {
	p.log.Report(r, done, token)
}

// Taken implements store.Store.
func (p *process) Taken(f func(string)) { p.taken = f }

// Change implements store.Store.
func (p *process) Change(c *store.Change, done store.Completion, token uint64) {
	p.log.Change(c, done, token)
}

// Append implements store.Store.
func (p *process) Append(m *store.Message, done store.Completion, token uint64) {
	if !m.Will {
		p.Store.Append(m, done, token)
		return
	}
	w := &claimed{p: p, m: *m, done: done, token: token}
	before, _, ok, err := p.log.Owing(m.Client, m.WillID)
	if err != nil || !ok {
		done.Appended(token, store.Position{}, err)
		return
	}
	w.claim = changelog.Claim{Since: before.Since + 1}
	p.log.ClaimWill(m.Client, m.WillID, before, w.claim, w)
}

// claimed is a will that a process has claimed.
type claimed struct {
	p     *process
	m     store.Message
	claim changelog.Claim
	done  store.Completion
	token uint64
}

// Appended implements store.Completion: for the claim.
func (w *claimed) Appended(_ uint64, _ store.Position, err error) {
	got, mine, ok, failed := w.p.log.Owing(w.m.Client, w.m.WillID)
	if err = errors.Join(err, failed); err != nil || !ok || !mine || got != w.claim {
		w.done.Appended(w.token, store.Position{}, err)
		return
	}
	client, id := w.m.Client, w.m.WillID
	w.m.Client, w.m.Will, w.m.WillID = "", false, 0
	w.p.tasks.Go(func() {
		w.p.Store.Append(&w.m, nil, 0)
		w.p.log.WillSent(client, id, w.done)
	})
}

// Owed implements store.Store.
func (p *process) Owed(now time.Time, from string, max int) ([]store.Owed, string, error) {
	return p.log.Owed(now, from, max)
}

// Connect implements store.Store.
func (p *process) Connect(c *store.Change) (*store.Session, error) {
	type answer struct {
		old *store.Session
		err error
	}
	done := make(chan answer, 1)
	p.log.Connect(c, func(old *store.Session, err error) { done <- answer{old, err} })
	a := <-done
	return a.old, a.err
}

// Announce implements store.Store.
func (p *process) Announce(client, principal string) { p.log.Announce(client, principal) }

// Gone implements store.Store.
func (p *process) Gone(client string) {
	p.log.Change(&store.Change{Kind: store.Remove, Client: client}, nil, 0)
}

// Load implements store.Store.
func (p *process) Load(client string) (*store.Session, error) { return p.log.Load(client) }

// Groups implements store.Store.
func (p *process) Groups() ([]store.Group, error) { return p.log.Groups() }

// Expired implements store.Store.
func (p *process) Expired(now time.Time, max int) ([]string, error) { return p.log.Expired(now, max) }

// WillsDue implements store.Store.
func (p *process) WillsDue(now time.Time, max int) ([]string, error) { return p.log.WillsDue(now, max) }

// Sessions implements store.Store.
func (p *process) Sessions() int64 { return p.log.Sessions() }
