package session

import "github.com/rocketmqtt/rocketmqtt/internal/store"

// Survey is what the connected sessions stand at, at one moment.
type Survey struct {
	Connected     int   // sessions with a connection
	Subscriptions int   // of those
	Groups        int   // shared subscriptions, those without a connected member included
	Sending       int   // messages of QoS 1 and 2 sent, or about to be, that the receiver has not acknowledged to the end
	Receiving     int   // messages of QoS 1 and 2 received that we have not acknowledged to the end
	Behind        int   // sessions, and groups with a member, that read the store instead of being handed what comes
	Furthest      int64 // offsets that the last of those is behind the end
}

// Survey looks at every connected session, each under its lock for a moment; it is for whoever asks now and then.
func (m *Manager) Survey() Survey {
	var s Survey
	next := map[store.Queue]int64{}
	for _, c := range m.connected() {
		c.survey(&s, m, next)
	}
	m.groups.survey(&s, m, next)
	return s
}

func (m *Manager) connected() []*Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Client, 0, len(m.clients))
	for _, c := range m.clients {
		if c.live.Load() {
			all = append(all, c)
		}
	}
	return all
}

func (c *Client) survey(s *Survey, m *Manager, next map[store.Queue]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	s.Connected++
	s.Subscriptions += c.filters()
	s.Sending += c.out.window.Len()
	s.Receiving += c.in.qos1.Len() + len(c.in.received)
	s.behind(c.out.places, m, next)
}

func (gs *groups) survey(s *Survey, m *Manager, next map[store.Queue]int64) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	s.Groups = len(gs.byName)
	for _, g := range gs.byName {
		g.mu.Lock()
		if len(g.members) > 0 {
			s.behind(g.places, m, next)
		}
		g.mu.Unlock()
	}
}

// behind takes the places of one session or group into account. next has the ends of the queues that were asked for.
func (s *Survey) behind(ps places, m *Manager, next map[store.Queue]int64) {
	if ps.live() {
		return
	}
	s.Behind++
	for _, p := range ps {
		if p.live {
			continue
		}
		end, known := next[p.queue]
		if !known {
			end = m.opts.Store.Next(p.queue)
			next[p.queue] = end
		}
		s.Furthest = max(s.Furthest, end-p.next)
	}
}
