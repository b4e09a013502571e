package cluster

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// session is a client id whose session outlives its connections. One goroutine at a time connects it and ends its connections.
type session struct {
	id      string
	version mqtt.Version
	role    role

	user, password string // "": it logs in as nobody

	mu     sync.Mutex // guards what follows, and the state of role
	link   *link      // the connection that counts; nil: none
	conns  int
	tried  bool // a CONNECT was sent
	begun  bool // and one was accepted
	faults []string
	waits  []time.Duration // from CONNECT to CONNACK, of those that were accepted
}

// role is what a session is for. Its methods are called with session.mu held.
type role interface {
	resume(l *link) // after CONNACK
	packet(l *link, p any)
}

// link is one connection. conn is for any goroutine, ended to be waited for, and the rest is guarded by session.mu.
type link struct {
	conn   *wire.Conn
	number int // of the session's connections, from 1 on
	ended  chan struct{}
	err    error // why it ended

	over bool  // its client has gone on: what comes counts for nothing
	late []any // and is kept here
	bye  *mqtt.Disconnect
}

const (
	forever = 1 << 31         // seconds; a session that is never over in a test
	silence = 5 * time.Minute // longer than a connection lasts without a packet
	answer  = 20 * time.Second
)

func newSession(id string, v mqtt.Version, r role) *session {
	return &session{id: id, version: v, role: r}
}

// fault notes what is wrong. mu is held.
func (s *session) fault(format string, args ...any) {
	if len(s.faults) < 10 {
		s.faults = append(s.faults, fmt.Sprintf("%s %s (MQTT %d, connection %d): %s", time.Now().Format("15:04:05.000"), s.id, s.version, s.conns, fmt.Sprintf(format, args...)))
	}
}

// refusal is a CONNACK that does not accept.
type refusal struct {
	code   mqtt.ReasonCode
	reason string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("CONNECT was refused with %v: %s", r.code, r.reason)
}

// connect begins a connection to the node at addr. From then on what comes over the one before counts for nothing; that one is not closed.
func (s *session) connect(addr string) (*link, error) {
	conn, err := wire.Dial(addr, s.version)
	if err != nil {
		return nil, err
	}
	s.abandon()
	began := time.Now()
	s.mu.Lock()
	tried := s.tried
	s.tried = true
	s.mu.Unlock()
	ack, err := hello(conn, s.hello())
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = append(s.waits, time.Since(began))
	s.conns++
	if s.begun && !ack.SessionPresent {
		s.fault("its session is gone")
	}
	if !tried && ack.SessionPresent {
		s.fault("there is a session that it never began")
	}
	s.begun = true
	l := &link{conn: conn, number: s.conns, ended: make(chan struct{})}
	s.link = l
	s.role.resume(l)
	go s.read(l)
	return l, nil
}

func (s *session) hello() *mqtt.Connect {
	return &mqtt.Connect{
		Version: s.version, ClientID: []byte(s.id), SessionExpiry: forever, RequestProblem: true, ReceiveMaximum: 65535,
		HasUsername: s.user != "", Username: []byte(s.user), HasPassword: s.user != "", Password: []byte(s.password),
	}
}

// hello sends CONNECT and takes its answer.
func hello(conn *wire.Conn, p *mqtt.Connect) (*mqtt.Connack, error) {
	if err := conn.Send(p); err != nil {
		return nil, err
	}
	got, err := conn.Read(answer)
	if err != nil {
		return nil, fmt.Errorf("no CONNACK: %w", err)
	}
	ack, ok := got.(*mqtt.Connack)
	if !ok {
		return nil, fmt.Errorf("CONNECT was answered with %T %+v", got, got)
	}
	if ack.Code != mqtt.Success {
		return nil, &refusal{ack.Code, ack.Reason}
	}
	return ack, nil
}

// abandon has the connection not count any longer.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil {
		s.link.over = true
		s.link = nil
	}
}

// read takes packets until the connection ends.
func (s *session) read(l *link) {
	defer close(l.ended)
	for {
		p, err := l.conn.Read(silence)
		s.mu.Lock()
		if err != nil {
			l.err = err
			if bad := new(mqtt.Error); errors.As(err, &bad) {
				s.fault("the node sent what is no packet: %v", err)
			}
			if s.link == l {
				s.link = nil
			}
			s.mu.Unlock()
			_ = l.conn.Close()
			return
		}
		switch bye, isBye := p.(*mqtt.Disconnect); {
		case isBye:
			l.bye = bye
		case l.over:
			l.late = append(l.late, p)
		default:
			s.role.packet(l, p)
		}
		s.mu.Unlock()
	}
}

// drop ends a connection without a word.
func (s *session) drop(l *link) {
	s.abandon()
	_ = l.conn.Close() // what it could say is of no interest any more
	<-l.ended
}

// leave ends it in order.
func (s *session) leave(l *link) {
	s.abandon()
	_ = l.conn.Send(&mqtt.Disconnect{}) // when this fails it has ended already
	_ = l.conn.Close()
	<-l.ended
}

// current is the connection that counts; nil: none.
func (s *session) current() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// connectedTimes is how often it was connected.
func (s *session) connectedTimes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// wrong is what was wrong so far.
func (s *session) wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// send sends packets; when that fails, whoever reads sees the end of the connection.
func (l *link) send(packets ...wire.Packet) {
	if len(packets) > 0 {
		_ = l.conn.Send(packets...)
	}
}
