package storetest

import (
	"maps"
	"slices"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Model is the sessions' changelog in plain maps: what a store must make of it. It is for one goroutine.
type Model struct {
	sessions    map[string]*modelSession
	groups      map[string]*modelGroup
	checkpoints map[int]modelCheckpoint // by run
	run         int                     // counts the openings of the store
	opened      []store.Position        // the log's end at the last one; nil: not known
	step        int                     // counts the changes
	retained    map[string]string       // payload by topic
	notes       map[store.Queue]string
}

type modelSession struct {
	store.Session
	run      int
	left     bool  // its process died
	due      int64 // when it ends then
	exactly  []store.Inflight
	released []store.Inflight
	progress int   // step of the last Progress
	willDue  int64 // when its will is due, if its connection has ended
}

type modelGroup struct {
	store.Group
	members map[string]bool
	exact   map[store.Position]bool
}

type modelCheckpoint struct {
	step   int
	cursor []store.Position
}

// NewModel returns the changelog of an empty store.
func NewModel() *Model {
	return &Model{
		sessions: map[string]*modelSession{}, groups: map[string]*modelGroup{}, checkpoints: map[int]modelCheckpoint{},
		retained: map[string]string{}, notes: map[store.Queue]string{},
	}
}

// Clone returns an independent copy.
func (m *Model) Clone() *Model {
	c := *m
	c.sessions, c.groups = map[string]*modelSession{}, map[string]*modelGroup{}
	c.checkpoints, c.retained, c.notes = maps.Clone(m.checkpoints), maps.Clone(m.retained), maps.Clone(m.notes)
	for id, s := range m.sessions {
		n := *s
		n.Subscriptions, n.Received, n.Pending = slices.Clone(s.Subscriptions), slices.Clone(s.Received), slices.Clone(s.Pending)
		n.exactly, n.released, n.Sent2 = slices.Clone(s.exactly), slices.Clone(s.released), slices.Clone(s.Sent2)
		c.sessions[id] = &n
	}
	for name, g := range m.groups {
		n := *g
		n.members, n.exact = maps.Clone(g.members), maps.Clone(g.exact)
		c.groups[name] = &n
	}
	return &c
}

// Open notes that the store was opened at now (Unix milliseconds), its log ending at end; nil: what Load says of that
// is the store's own business.
func (m *Model) Open(end []store.Position, now int64) {
	m.run++
	m.opened = end
	for _, s := range m.sessions {
		if !s.Connected || s.left {
			continue
		}
		s.left = true
		if s.Expiry != 0xFFFFFFFF {
			s.due = now + int64(s.Expiry)*1000
		}
		if s.Will != nil {
			s.willDue = now + int64(min(s.Will.Delay, s.Expiry))*1000
		}
	}
}

// Message notes a durable message.
func (m *Model) Message(msg *store.Message) {
	switch {
	case !msg.Retain:
	case len(msg.Payload) == 0:
		delete(m.retained, msg.Topic)
	default:
		m.retained[msg.Topic] = string(msg.Payload)
	}
	switch {
	case msg.Client == "":
	case msg.Will:
		m.willDone(msg.Client)
	default:
		m.Received(msg.Client, msg.PacketID)
	}
}

func (m *Model) willDone(client string) {
	if s := m.sessions[client]; s != nil {
		s.Will, s.willDue = nil, 0
	}
}

// Received notes a durable incoming QoS 2 message.
func (m *Model) Received(client string, id uint16) {
	if s := m.sessions[client]; s != nil && !slices.Contains(s.Received, id) {
		s.Received = append(s.Received, id)
	}
}

// Apply applies a change that was made at now (Unix milliseconds).
func (m *Model) Apply(c *store.Change, now int64) {
	m.step++
	switch c.Kind {
	case store.Connect:
		m.connect(c, now)
		return
	case store.Checkpoint:
		m.checkpoints[m.run] = modelCheckpoint{step: m.step, cursor: slices.Clone(c.Cursor)}
		return
	case store.GroupProgress:
		m.groupProgress(c)
		return
	case store.Note:
		m.note(c.Cursor[0].Queue, c.Value)
		return
	}
	s := m.sessions[c.Client]
	if s == nil {
		return
	}
	switch c.Kind {
	case store.Detach:
		s.Connected, s.left, s.due, s.willDue = false, false, 0, 0
		if c.WillAt == 0 {
			s.Will = nil
		} else if s.Will != nil {
			s.willDue = c.WillAt
		}
		s.Expiry, s.ExpiresAt = c.Expiry, c.ExpiresAt
		s.setProgress(c, false, m.step)
		s.SentUpTo = slices.Clone(c.SentUpTo)
	case store.Progress:
		s.setProgress(c, c.Follows, m.step)
	case store.Remove:
		m.remove(c.Client)
	case store.Subscribe:
		m.subscribe(s, c.Subscription)
	case store.Unsubscribe:
		m.leave(c.Client, c.Subscription.Filter)
		s.Subscriptions = slices.DeleteFunc(s.Subscriptions, func(o store.Subscription) bool { return o.Filter == c.Subscription.Filter })
	case store.WillDone:
		m.willDone(c.Client)
	case store.Release, store.Receive, store.Receipted, store.Refused:
		m.incoming(s, c)
	default:
		m.exactlyOnce(s, c)
	}
}

// incoming does the steps of an incoming QoS 2 message. Pending and Received do not know of each other, but that
// Receipted moves what is pending, and Release ends both.
func (m *Model) incoming(s *modelSession, c *store.Change) {
	id := c.PacketID
	if c.Kind == store.Receive {
		id = c.Receipt.PacketID
	}
	was := len(s.Pending)
	s.Pending = slices.DeleteFunc(s.Pending, func(r store.Receipt) bool { return r.PacketID == id })
	switch {
	case c.Kind == store.Receive:
		s.Pending = append(s.Pending, c.Receipt)
	case c.Kind == store.Receipted && len(s.Pending) < was:
		m.Received(s.Client, id)
	case c.Kind == store.Release:
		s.Received = slices.DeleteFunc(s.Received, func(o uint16) bool { return o == id })
	}
}

func (m *Model) note(q store.Queue, value []byte) {
	if len(value) == 0 {
		delete(m.notes, q)
		return
	}
	m.notes[q] = string(value)
}

func (s *modelSession) setProgress(c *store.Change, follows bool, step int) {
	s.Cursor, s.Follows, s.progress = slices.Clone(c.Cursor), follows, step
	s.Inflight, s.SentUpTo = nil, nil
	for _, in := range c.Inflight {
		if in.QoS == 1 {
			s.Inflight = append(s.Inflight, in)
		}
	}
}

func (m *Model) connect(c *store.Change, now int64) {
	if c.Clean {
		m.remove(c.Client)
	}
	s := m.sessions[c.Client]
	if s == nil {
		s = &modelSession{Session: store.Session{Client: c.Client, Created: now}}
		m.sessions[c.Client] = s
	}
	if s.Connected && s.Follows {
		s.Cursor = m.resolved(s)
	}
	s.Follows, s.Connected, s.left, s.run, s.due, s.willDue = false, true, false, m.run, 0, 0
	s.Will = c.Will
	s.Principal, s.Expiry, s.ExpiresAt = c.Principal, c.Expiry, 0
}

// resolved is the cursor of a connected session that follows: a later checkpoint of its owner counts.
func (m *Model) resolved(s *modelSession) []store.Position {
	out := slices.Clone(s.Cursor)
	cp := m.checkpoints[s.run]
	if cp.step <= s.progress {
		return out
	}
	for _, p := range cp.cursor {
		if i := slices.IndexFunc(out, func(o store.Position) bool { return o.Queue == p.Queue }); i < 0 {
			out = append(out, p)
		} else {
			out[i].Offset = max(out[i].Offset, p.Offset)
		}
	}
	return out
}

func (m *Model) remove(client string) {
	s := m.sessions[client]
	if s == nil {
		return
	}
	for _, sub := range s.Subscriptions {
		m.leave(client, sub.Filter)
	}
	delete(m.sessions, client)
}

func (m *Model) subscribe(s *modelSession, sub store.Subscription) {
	s.Subscriptions = slices.DeleteFunc(s.Subscriptions, func(o store.Subscription) bool { return o.Filter == sub.Filter })
	s.Subscriptions = append(s.Subscriptions, sub)
	if !strings.HasPrefix(sub.Filter, "$share/") {
		return
	}
	g := m.groups[sub.Filter]
	if g == nil {
		g = &modelGroup{Group: store.Group{Filter: sub.Filter, Founded: sub.Start, Since: sub.Since, Cursor: sub.Start}, members: map[string]bool{}, exact: map[store.Position]bool{}}
		m.groups[sub.Filter] = g
	}
	g.members[s.Client] = true
}

func (m *Model) leave(client, filter string) {
	g := m.groups[filter]
	if g == nil {
		return
	}
	delete(g.members, client)
	if len(g.members) == 0 {
		delete(m.groups, filter)
	}
}

func (m *Model) groupProgress(c *store.Change) {
	g := m.groups[c.Subscription.Filter]
	if g == nil || !slices.Equal(g.Founded, c.Subscription.Start) {
		return
	}
	g.Cursor, g.Outstanding = slices.Clone(c.Cursor), slices.Clone(c.Outstanding)
	for _, cursor := range g.Cursor {
		maps.DeleteFunc(g.exact, func(p store.Position, _ bool) bool {
			return p.Queue == cursor.Queue && p.Offset < cursor.Offset && !slices.Contains(g.Outstanding, p)
		})
	}
}

func (m *Model) exactlyOnce(s *modelSession, c *store.Change) {
	in := c.Inflight[0]
	same := func(o store.Inflight) bool { return o.PacketID == in.PacketID }
	switch c.Kind {
	case store.Send2:
		s.exactly, s.released = slices.DeleteFunc(s.exactly, same), slices.DeleteFunc(s.released, same)
		s.exactly = append(s.exactly, in)
		if in.Group != "" {
			if g := m.groups[in.Group]; g != nil {
				g.exact[in.At] = true
			}
			return
		}
		if in.Retained {
			return
		}
		if i := slices.IndexFunc(s.Sent2, func(p store.Position) bool { return p.Queue == in.At.Queue }); i < 0 {
			s.Sent2 = append(s.Sent2, in.At)
		} else {
			s.Sent2[i].Offset = max(s.Sent2[i].Offset, in.At.Offset)
		}
	case store.Pubrec:
		if i := slices.IndexFunc(s.exactly, same); i >= 0 {
			was := s.exactly[i]
			was.Released = true
			s.released = append(s.released, was)
			s.exactly = slices.Delete(s.exactly, i, i+1)
		}
	case store.Done2:
		s.exactly, s.released = slices.DeleteFunc(s.exactly, same), slices.DeleteFunc(s.released, same)
	}
}

// Session is what Load must return, in the form of Normal; nil when there is none.
func (m *Model) Session(client string) *store.Session {
	s := m.sessions[client]
	if s == nil {
		return nil
	}
	out := s.Session
	if s.Connected {
		out.SentUpTo, out.ExpiresAt = m.opened, s.due
		if s.Follows {
			out.Cursor = m.resolved(s)
		}
	}
	out.WillAt = s.willDue
	again := func(in store.Inflight) bool { // a QoS 1 message whose packet id is a QoS 2 message's now was acknowledged
		same := func(o store.Inflight) bool { return o.PacketID == in.PacketID }
		return slices.ContainsFunc(s.released, same) || slices.ContainsFunc(s.exactly, same)
	}
	out.Inflight = slices.Concat(s.released, slices.DeleteFunc(slices.Clone(s.Inflight), again), s.exactly)
	return Normal(&out)
}

// Clients lists the sessions.
func (m *Model) Clients() []string { return slices.Sorted(maps.Keys(m.sessions)) }

// Groups is what Store.Groups must return, in the form of NormalGroups.
func (m *Model) Groups() []store.Group {
	var out []store.Group
	for _, g := range m.groups {
		n := g.Group
		n.Members, n.Exact = slices.Collect(maps.Keys(g.members)), slices.Collect(maps.Keys(g.exact))
		out = append(out, n)
	}
	return NormalGroups(out)
}

// Expired lists the sessions due at now, sorted.
func (m *Model) Expired(now int64) []string {
	var out []string
	for id, s := range m.sessions {
		at := s.ExpiresAt
		if s.Connected {
			at = s.due
		}
		if at != 0 && at <= now {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// RetainedTopics lists the topics that have a retained message, sorted.
func (m *Model) RetainedTopics() []string { return slices.Sorted(maps.Keys(m.retained)) }

// Notes lists the queues that have a note, sorted.
func (m *Model) Notes() []store.Queue { return slices.Sorted(maps.Keys(m.notes)) }

// WillsDue lists the sessions whose will is due at now, sorted.
func (m *Model) WillsDue(now int64) []string {
	var out []string
	for id, s := range m.sessions {
		if s.willDue != 0 && s.willDue <= now {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
