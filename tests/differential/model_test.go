package differential

import (
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// model is what the specification says of the sessions of a script, whatever the broker is: which steps can be done,
// and which subscriptions there are.
type model struct {
	sessions [clients]session
	sentAt   map[int]int // message -> step that published it
	messages map[int]message
}

// session is one client's.
type session struct {
	version mqtt.Version
	online  bool
	half    bool        // it may have sent PUBREC and no PUBCOMP
	options connectStep // of the last CONNECT; expiry as DISCONNECT changed it
	filters map[string]subscription
	changed int // step that changed filters last
	dropped int // step that dropped the connection, when nothing else ended one since
}

type subscription struct {
	mqtt.SubscribeFilter

	id uint32
}

func newModel(s *script) *model {
	m := &model{sentAt: map[int]int{}, messages: map[int]message{}}
	for c, v := range s.clients {
		m.sessions[c] = session{version: v, filters: map[string]subscription{}, dropped: never}
	}
	return m
}

const never = 1 << 30 // after all steps

// lasts reports whether the session outlives its connection.
func (s *session) lasts() bool {
	if s.version == mqtt.V5 {
		return s.options.expiry != 0
	}
	return !s.options.clean
}

// matching are the subscriptions that a topic matches.
func (s *session) matching(name string) (subs []subscription) {
	for _, sub := range s.filters {
		_, inner, _, err := topic.ParseShare(string(sub.Filter))
		if err == nil && topic.Match(inner, name) {
			subs = append(subs, sub)
		}
	}
	return subs
}

// begin takes in a step and returns it as it can be done; ok is false when it cannot be.
func (m *model) begin(i int, st step) (_ step, ok bool) {
	s := &m.sessions[st.client]
	if st.op == restart && !m.survives() || st.op != connect && st.op != restart && !s.online {
		return st, false
	}
	switch st.op {
	case connect:
		m.connect(s, i, st.connect)
	case disconnect:
		m.disconnect(s, i, &st)
	case drop:
		s.end(i)
		s.dropped = i
	case subscribe:
		s.changed = i
		for _, f := range st.filters {
			s.filters[string(f.Filter)] = subscription{f, st.subID}
		}
	case unsubscribe:
		s.changed = i
		for _, name := range st.names {
			delete(s.filters, name)
		}
	case publish, interrupt:
		m.publish(s, i, &st)
	case restart:
		for c := range m.sessions {
			m.sessions[c].end(i)
		}
	}
	return st, true
}

// survives reports whether mosquitto knows after a restart all that it should, see rules_test.go.
func (m *model) survives() bool {
	for c := range m.sessions {
		s := &m.sessions[c]
		if s.lasts() && (s.version == mqtt.V5 && s.options.clean || s.half || c == sharer && len(s.filters) > 0) {
			return false
		}
	}
	return true
}

func (m *model) connect(s *session, i int, o connectStep) {
	if s.online {
		s.end(i)
	}
	if o.clean {
		s.forget(i)
	}
	s.online, s.options = true, o
	s.half = o.acks == ackRec || s.half && o.acks == ackNone
}

func (m *model) disconnect(s *session, i int, st *step) {
	if st.expiry != nil && s.options.expiry == 0 {
		st.expiry = nil // [MQTT-3.14.2-2]: a protocol error
	}
	if st.expiry != nil {
		s.options.expiry = *st.expiry
	}
	s.end(i)
}

func (m *model) publish(s *session, i int, st *step) {
	for _, msg := range st.messages {
		m.sentAt[msg.number], m.messages[msg.number] = i, msg
	}
	// Without a session the second PUBLISH would be another message. And a publisher that receives its own would get it
	// before or after its connection is lost: [MQTT 5.0, 4.3.3] leaves open when a broker delivers, at PUBLISH or at PUBREL.
	if st.op == interrupt && (!s.lasts() || len(s.matching(st.messages[0].topic)) > 0) {
		st.op = publish
	}
	if st.op == interrupt {
		s.options.clean = false
		st.connect = s.options
	}
}

// end is the end of a connection in step i.
func (s *session) end(i int) {
	s.online, s.dropped = false, never
	if !s.lasts() {
		s.forget(i)
	}
}

func (s *session) forget(i int) { s.filters, s.changed, s.half = map[string]subscription{}, i, false }
