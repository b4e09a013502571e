package crash

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// relay stands between the broker and a RocketMQ. Whoever asks it for a route, as a name server, is given the relay's address for that of the RocketMQ
// broker, and so what is sent there, and what is answered, goes through it as well, and can be held up: the kill then comes between two steps
// that no client sees.
type relay struct {
	addr   string // of the name server that it is
	behind string // the RocketMQ broker's
	before string // what routes say instead; as long, so that no length in a frame changes

	listeners []net.Listener
	running   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	passages []*passage
	stage    stage
	reached  chan struct{} // closed when stage is
	late     chan struct{} // closed when what was held back is answered
}

// stage is how far a message comes.
type stage int

const (
	anywhere   stage = iota
	underWay         // the broker has sent it; RocketMQ has not got it
	unanswered       // RocketMQ has it; the broker is not told
)

// passage is one connection through the relay.
type passage struct {
	from, to net.Conn

	// Guarded by relay.mu.
	held  []byte          // frames
	late  bool            // some were held back: it goes on without its client
	sends map[uint32]bool // numbers of requests that send messages and are not answered; true: it was held back
}

func newRelay(t *testing.T, c *rocketmqtest.Cluster) *relay {
	t.Helper()
	r := &relay{behind: c.Broker(0).Addr}
	t.Cleanup(r.close)
	r.before = r.listen(t, fourDigits(t), r.behind, r.passing)
	if len(r.before) != len(r.behind) {
		t.Fatalf("%s is not as long as %s", r.before, r.behind)
	}
	r.addr = r.listen(t, "127.0.0.1:0", c.Namesrv(), r.naming)
	return r
}

// fourDigits is an address with a port of four digits, as those of rocketmqtest have.
func fourDigits(t *testing.T) string {
	t.Helper()
	for port := 9000; port < 10_000; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close() // to be listened on at once
			return addr
		}
	}
	t.Fatal("no port of four digits is free")
	return ""
}

func (r *relay) listen(t *testing.T, addr, to string, serve func(*passage)) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r.listeners = append(r.listeners, l)
	r.running.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.running.Go(func() { r.connect(from, to, serve) })
		}
	})
	return l.Addr().String()
}

func (r *relay) connect(from net.Conn, addr string, serve func(*passage)) {
	defer func() { _ = from.Close() }()
	to, err := net.DialTimeout("tcp", addr, answerTimeout)
	if err != nil {
		return // the client sees its connection end
	}
	p := &passage{from: from, to: to, sends: map[uint32]bool{}}
	defer func() { _ = to.Close() }()
	r.mu.Lock()
	closed := r.closed
	r.passages = append(r.passages, p)
	r.mu.Unlock()
	if !closed {
		serve(p)
	}
}

// close ends all connections and waits for their goroutines.
func (r *relay) close() {
	for _, l := range r.listeners {
		_ = l.Close()
	}
	r.mu.Lock()
	r.closed = true
	for _, p := range r.passages {
		_ = p.from.Close()
		_ = p.to.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// naming serves a connection to the name server.
func (r *relay) naming(p *passage) {
	r.running.Go(func() {
		_, _ = io.Copy(p.to, p.from)
		_ = p.to.Close()
	})
	each(p.to, func(f frame) {
		_, _ = p.from.Write(bytes.ReplaceAll(f, []byte(r.behind), []byte(r.before)))
	})
}

// passing serves a connection to the broker. What is held back goes on after the client is gone: then it is like bytes that were on their way.
func (r *relay) passing(p *passage) {
	r.running.Go(func() {
		each(p.from, func(f frame) {
			if r.request(p, f) {
				_, _ = p.to.Write(f)
			}
		})
		if !r.isLate(p) {
			_ = p.to.Close()
		}
	})
	each(p.to, func(f frame) {
		if r.answer(p, f) {
			_, _ = p.from.Write(f)
		}
	})
}

// request reports whether a request is passed on now.
func (r *relay) request(p *passage, f frame) bool {
	if !f.sends() {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.sends[f.number()] = r.stage == underWay
	if r.stage != underWay {
		return true
	}
	p.held, p.late = append(p.held, f...), true
	r.reach()
	return false
}

// answer reports whether an answer is passed on.
func (r *relay) answer(p *passage, f frame) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	wasHeld, sends := p.sends[f.number()]
	if !sends {
		return true
	}
	delete(p.sends, f.number())
	if wasHeld && r.late != nil {
		close(r.late)
		r.late = nil
	}
	if r.stage != unanswered {
		return true
	}
	r.reach()
	return false
}

// reach says that the stage is reached. mu held.
func (r *relay) reach() {
	if r.reached != nil {
		close(r.reached)
		r.reached = nil
	}
}

func (r *relay) isLate(p *passage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.late
}

// stopAt lets what is sent from now on get as far as s. The channel is closed when something is there.
func (r *relay) stopAt(s stage) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage, r.reached = s, make(chan struct{})
	return r.reached
}

// goOn lets pass what comes from now on.
func (r *relay) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage = anywhere
}

// lose loses what is held back.
func (r *relay) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.passages {
		if len(p.held) > 0 {
			p.held = nil
			_ = p.to.Close()
		}
	}
}

// deliver passes on what is held back, and waits until RocketMQ has answered.
func (r *relay) deliver() error {
	late := make(chan struct{})
	r.mu.Lock()
	r.late = late
	var to []net.Conn
	var held []byte
	for _, p := range r.passages {
		if len(p.held) > 0 {
			to, held, p.held = append(to, p.to), p.held, nil
		}
	}
	r.mu.Unlock()
	if len(to) != 1 {
		return fmt.Errorf("%d connections have something that was held back, want 1", len(to))
	}
	if _, err := to[0].Write(held); err != nil { // its goroutine for requests has ended
		return err
	}
	select {
	case <-late:
		return nil
	case <-time.After(answerTimeout):
		return fmt.Errorf("RocketMQ did not answer within %s what was held back", answerTimeout)
	}
}

// frame is one of RocketMQ's remoting protocol (class RemotingCommand). Requests of the broker have a binary header (RocketMQSerializable), answers
// one of either type:
//
//	length(4) type(1) header length(3) code(2) language(1) version(2) number(4) ...
//	length(4) type(1) header length(3) {"code":...,"opaque":number,...}
type frame []byte

const (
	frameHead  = 8
	binaryHead = frameHead + 2 + 1 + 2 + 4
)

// isBinary reports whether it has such a header.
func (f frame) isBinary() bool { return len(f) >= binaryHead && f[4] == 1 }

// number is what a request and its answer have in common.
func (f frame) number() uint32 {
	if f.isBinary() {
		return binary.BigEndian.Uint32(f[binaryHead-4:])
	}
	var header struct{ Opaque uint32 }
	if end := frameHead + int(binary.BigEndian.Uint32(f[4:])&(1<<24-1)); end <= len(f) {
		_ = json.Unmarshal(f[frameHead:end], &header) // 0 is the number of no send: they count from 1 on
	}
	return header.Opaque
}

// sends reports whether it is SEND_MESSAGE, SEND_MESSAGE_V2 or SEND_BATCH_MESSAGE.
func (f frame) sends() bool {
	return f.isBinary() && slices.Contains([]uint16{10, 310, 320}, binary.BigEndian.Uint16(f[frameHead:]))
}

// each reads frames until the connection ends.
func each(c net.Conn, do func(frame)) {
	in := bufio.NewReader(c)
	for {
		head, err := in.Peek(4)
		if err != nil {
			return
		}
		f := make(frame, max(frameHead, 4+binary.BigEndian.Uint32(head)))
		if _, err := io.ReadFull(in, f); err != nil {
			return
		}
		do(f)
	}
}
