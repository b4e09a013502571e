package changelog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// chain is what this node has to do with a client id. One record of it is under way at a time, since each one names the offset of the one before.
// Changelog.mu guards it.
type chain struct {
	name   string
	q      int
	head   head // as last read; last none: nothing is known
	role   role
	under  *flight // the record that is under way
	queued []item  // changes that the next one takes
	wills  []item  // what is to be said of wills that are owed: whoever owns the client id, and before anything else
	join   *join   // who waits for the client id; nil: nobody
	after  *join   // who is to wait for it when the connection before has said where it stood; nil: nobody
	final  *item   // what is to be said to the new owner, when role is leaving
	until  time.Time

	refused bool // when role is leaving: what is to end never owned the client id, and says nothing of a session that this node may own by another connect
}

// role is what this node is to a client id.
type role byte

const (
	outsider role = iota // it has changes of a session that nobody owns
	joining              // it has appended connect, or is about to
	waiting              // its connect is valid, and the former owner is to hand over
	owner
	leaving // it was the owner, and whoever it served is to be told
	giving  // it owns what nobody here knows, and is about to give it up
)

// item is one change of a client's session.
type item struct {
	kind  store.ChangeKind
	body  []byte
	done  store.Completion
	token uint64
	turn  int // see vector
}

// ends says whether it ends a session, or a connection.
func (i *item) ends() bool { return i.kind == store.Detach || i.kind == store.Remove }

func (i *item) tell(err error) {
	if i.done != nil {
		i.done.Appended(i.token, store.Position{Offset: -1}, err)
	}
}

// join is who waits for a client id.
type join struct {
	connect   []byte
	clean     bool
	present   bool
	done      func(s *store.Session, err error) // nil: nobody is to be told
	abandoned bool                              // whoever asked for it does not wait any longer
}

// flight is a record under way.
type flight struct {
	record
	items []item
	read  *outcome // what was read of it before the queue was read to its end
	late  bool     // they are changes of an outsider, and another node has owned the client since: they are not made again
}

// sent is a record of a chain that was appended.
type sent struct {
	ch *chain
	f  *flight
}

// effects is what is to be done once no lock is held: records to append, in order, then calls.
type effects struct {
	appends []appended
	calls   []func()
}

type appended struct {
	q      int
	record []byte
}

func (e *effects) call(f func()) { e.calls = append(e.calls, f) }

func (e *effects) run(c *Changelog) {
	for _, a := range e.appends {
		c.stats.Appended.Add(1)
		c.opts.Log.Append(a.q, a.record)
	}
	for _, f := range e.calls {
		f()
	}
}

// Limits of one record. RocketMQ takes messages of 4 MiB.
const (
	maxRecord = 256 << 10
	maxChange = 3 << 20
)

// Change appends c to the changelog; done is told when it has come back and counts, or that it does not: store.ErrTaken. store.Checkpoint
// goes with the next beat, and done is told at once.
func (c *Changelog) Change(ch *store.Change, done store.Completion, token uint64) {
	it := item{kind: ch.Kind, done: done, token: token}
	if err := view.Sound(ch); err != nil {
		it.tell(fmt.Errorf("change of kind %d: %w", ch.Kind, err))
		return
	}
	if ch.Kind == store.Checkpoint {
		c.setVector(ch.Cursor)
		it.tell(nil)
		return
	}
	if ch.Kind == store.Note || ch.Kind == store.GroupProgress {
		it.tell(c.local(ch))
		return
	}
	it.body = view.AppendChange(nil, ch)
	if err := c.enqueue(ch.Client, it); err != nil {
		it.tell(err)
	}
}

func (c *Changelog) setVector(v []store.Position) {
	v = slices.Clone(v)
	c.mu.Lock()
	defer c.mu.Unlock()
	for q := range c.vectors {
		c.vectors[q].set(v)
	}
}

// queue has a change wait for its record.
func (c *Changelog) queue(ch *chain, it item) {
	c.count(ch, &it)
	ch.queued = append(ch.queued, it)
}

// count has a change be one that has not come back.
func (c *Changelog) count(ch *chain, it *item) {
	c.pending += int64(len(it.body))
	it.turn = c.vectors[ch.q].made()
}

// unqueue is told that a change waits no longer, and is not under way either.
func (c *Changelog) unqueue(q int, it *item) {
	c.pending -= int64(len(it.body))
	c.vectors[q].back(it.turn)
}

func (c *Changelog) enqueue(client string, it item) error {
	if len(it.body) > maxChange {
		return fmt.Errorf("change of %d bytes, the limit is %d: %w", len(it.body), maxChange, store.ErrTooLarge)
	}
	ch, err := c.lockChain(client)
	if err != nil {
		return err
	}
	var e effects
	err = c.take(ch, it, &e)
	c.mu.Unlock()
	e.run(c)
	return err
}

// lockChain locks mu and returns the chain of a client; an outsider's when there was none.
func (c *Changelog) lockChain(client string) (*chain, error) {
	c.mu.Lock()
	if ch := c.chains[client]; ch != nil && !c.closed {
		return ch, nil
	}
	c.mu.Unlock()
	h, err := c.lookUp(client) // what is read meanwhile makes the first record void, and it is made again
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, store.ErrClosed
	}
	ch := c.chains[client]
	if ch == nil {
		ch = &chain{name: client, q: c.queueOf(client), head: h}
		c.chains[client] = ch
	}
	return ch, nil
}

// take takes a change of the session.
func (c *Changelog) take(ch *chain, it item, e *effects) error {
	switch ends := it.ends(); {
	case ch.role == leaving && ends:
		ch.final = &it
	case ch.role == leaving:
		c.settle(ch, e)
		return fmt.Errorf("client %.200q: %w", ch.name, store.ErrTaken)
	case c.pending+int64(len(it.body)) > c.opts.MaxPending:
		c.stats.Refused.Add(1)
		c.settle(ch, e)
		return fmt.Errorf("%d bytes of changes of sessions have not come back: %w", c.pending, store.ErrAway)
	default:
		c.queue(ch, it)
	}
	c.settle(ch, e)
	return nil
}

// chainsOf lists the chains of a queue. mu is held.
func (c *Changelog) chainsOf(q int) []*chain {
	var list []*chain
	for _, ch := range c.chains {
		if ch.q == q {
			list = append(list, ch)
		}
	}
	return byName(list)
}

// byName sorts chains, so that what is done for many at once is done in the same order each time that a simulation is repeated.
func byName(list []*chain) []*chain {
	slices.SortFunc(list, func(a, b *chain) int { return strings.Compare(a.name, b.name) })
	return list
}

// settle does what comes next for a chain, and forgets one for which there is nothing to do.
func (c *Changelog) settle(ch *chain, e *effects) {
	if ch.role != leaving {
		c.enterAfter(ch, e)
	}
	if ch.under != nil || !c.ready[ch.q] {
		return
	}
	if len(ch.wills) > 0 {
		c.sendWills(ch, e)
		return
	}
	switch ch.role {
	case joining:
		c.send(ch, kindConnect, ch.join.connect, nil, e)
	case waiting:
	case giving:
		c.send(ch, kindLeft, nil, nil, e)
	case leaving:
		c.leave(ch, e)
	case outsider, owner:
		if len(ch.queued) > 0 {
			c.sendChanges(ch, e)
		} else if ch.role == outsider {
			delete(c.chains, ch.name)
		}
	}
}

// leave says to the new owner where the session stands, once that is known here.
func (c *Changelog) leave(ch *chain, e *effects) {
	if ch.final == nil {
		return // whoever it served is to say so
	}
	if ch.head.former == c.nodes[ch.q] && !ch.refused {
		c.send(ch, kindFinal, ch.final.body, nil, e)
		return
	}
	c.left(ch, e) // nobody waits for it
}

// left is told when what was to be said to the new owner was said.
func (c *Changelog) left(ch *chain, e *effects) {
	final := ch.final
	e.call(func() { final.tell(nil) })
	ch.final, ch.role, ch.refused = nil, outsider, false
	switch {
	case ch.head.owner == c.nodes[ch.q]: // by a connect that was refused, and came twice: then it counted; or by one that was abandoned
		ch.role = giving
		c.settle(ch, e)
		return
	case len(ch.wills) > 0:
		c.settle(ch, e)
		return
	}
	delete(c.chains, ch.name)
	c.enterAfter(ch, e)
}

// sendChanges sends as much of what is queued as one record takes.
func (c *Changelog) sendChanges(ch *chain, e *effects) {
	n, size := 0, 0
	for ; n < len(ch.queued) && (n == 0 || size+len(ch.queued[n].body) <= maxRecord); n++ {
		size += len(ch.queued[n].body) + 4
	}
	items := ch.queued[:n:n]
	if ch.queued = ch.queued[n:]; len(ch.queued) == 0 {
		ch.queued = nil
	}
	body := make([]byte, 0, size)
	for i := range items {
		body = view.AppendBytes(body, items[i].body)
	}
	c.send(ch, kindChanges, body, items, e)
}

// send puts a record under way.
func (c *Changelog) send(ch *chain, k kind, body []byte, items []item, e *effects) {
	c.seq++
	f := &flight{record: record{kind: k, node: c.nodes[ch.q], seq: c.seq, base: ch.head.last, at: ch.head.time, name: ch.name, body: body}, items: items}
	ch.under = f
	c.sent[ch.q] = append(c.sent[ch.q], sent{ch, f})
	f.appendTo(ch.q, e)
}

func (f *flight) appendTo(q int, e *effects) {
	e.appends = append(e.appends, appended{q, f.append(make([]byte, 0, len(f.body)+len(f.name)+32))})
}

// overtaken is told that a beat was read back. What was appended before it and has not come back may be lost: a log that goes back takes also what nobody had
// read yet. It is appended again as it was, so that it counts once.
func (c *Changelog) overtaken(q int, seq uint64, e *effects) {
	list := c.sent[q]
	var under []sent
	n := 0
	for ; n < len(list) && list[n].f.seq < seq; n++ {
		if s := list[n]; s.ch.under == s.f {
			s.f.appendTo(q, e)
			under = append(under, s)
		}
	}
	c.sent[q] = append(under, list[n:]...)
}

// landed is told when the record of a chain that was under way was read back.
func (c *Changelog) landed(ch *chain, o *outcome, e *effects) {
	f := ch.under
	ch.under = nil
	if !o.valid {
		c.reconcile(ch, e)
	}
	switch f.kind {
	case kindConnect:
		if ch.role == joining && &f.body[0] == &ch.join.connect[0] { // else it was abandoned, and another one waits since
			c.connected(ch, o, e)
		}
	case kindChanges:
		c.changed(ch, f, o.valid, e)
	case kindWill:
		c.willsLanded(ch, f, o.valid, e)
	case kindFinal:
		if ch.role == leaving && (o.valid || ch.head.former != c.nodes[ch.q]) {
			c.left(ch, e)
			return
		}
	case kindLeft:
		if ch.role == giving { // else somebody here wants it meanwhile
			ch.role = outsider
		}
	}
	if ch.under == nil {
		c.reconcile(ch, e)
	}
	c.settle(ch, e)
}

// changed ends changes that were under way.
func (c *Changelog) changed(ch *chain, f *flight, valid bool, e *effects) {
	if _, is := shareFilter(ch.name); is && !valid && f.base == ch.head.last { // nobody can judge it now (old.go): whoever reports is to try again, later
		c.endAll(f.items, fmt.Errorf("group %.200q: what was written of it before is not known: %w", ch.name[1:], store.ErrAway), e)
		return
	}
	if !valid && !f.late && c.mayChange(ch) { // another node was first, and has left us the right to
		ch.queued = append(f.items, ch.queued...)
		return
	}
	ended := false
	for i := range f.items {
		it := &f.items[i]
		ends := it.ends()
		if !valid && ch.role == leaving && ends {
			ch.final = it
			c.unqueue(ch.q, it)
			continue
		}
		c.end(it, valid, ch.name, e)
		ended = ended || ends
	}
	if valid && ended && (ch.role == owner || ch.role == leaving) {
		ch.role = outsider
	}
}

// endAll tells whoever made changes that they do not count.
func (c *Changelog) endAll(items []item, err error, e *effects) {
	for i := range items {
		c.pending -= int64(len(items[i].body))
		e.call(func() { items[i].tell(err) })
	}
}

// mayChange says whether changes of this node count, as far as is known.
func (c *Changelog) mayChange(ch *chain) bool {
	switch ch.role {
	case owner:
		return ch.head.owner == c.nodes[ch.q]
	case outsider:
		return ch.head.owner == 0
	}
	return false
}

// end tells whoever made a change what became of it.
func (c *Changelog) end(it *item, valid bool, name string, e *effects) {
	c.unqueue(c.queueOf(name), it)
	var err error
	if !valid {
		err = fmt.Errorf("client %.200q: %w", name, store.ErrTaken)
	}
	e.call(func() { it.tell(err) })
}

// failAll ends all that a chain has to do.
func (c *Changelog) failAll(ch *chain, err error, e *effects) {
	items := slices.Concat(ch.wills, ch.queued)
	if ch.under != nil {
		items = append(ch.under.items, items...)
	}
	for i := range items {
		c.unqueue(ch.q, &items[i])
		e.call(func() { items[i].tell(err) })
	}
	if final := ch.final; final != nil {
		e.call(func() { final.tell(err) })
	}
	for _, j := range []*join{ch.join, ch.after} {
		if j != nil {
			e.call(func() { j.fail(err) })
		}
	}
	ch.queued, ch.wills, ch.under, ch.final, ch.join, ch.after = nil, nil, nil, nil, nil, nil
}
