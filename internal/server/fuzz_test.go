package server

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// note is a Client that only notes.
type note struct {
	max     int
	packets []string
	bad     int
}

func (n *note) Packet(h mqtt.Header, body []byte) bool {
	n.packets = append(n.packets, fmt.Sprintf("%d/%d/%d:%s", h.Type, h.Flags, h.Length, body))
	return true
}
func (n *note) Bad(error)                { n.bad++ }
func (n *note) MaxPacket() int           { return n.max }
func (n *note) Connected() bool          { return false }
func (n *note) KeepAlive() time.Duration { return 0 }
func (n *note) KeepAliveExpired()        {}
func (n *note) Drained()                 {}
func (n *note) Closed(string)            {}

// FuzzFraming cuts a stream at arbitrary places and compares what the client is given with what is in the uncut stream. The
// memory held stays below twice what came and 64 KiB.
func FuzzFraming(f *testing.F) {
	whole, _ := stream()
	f.Add(whole, []byte{1, 5, 2, 100, 3})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3}, []byte{1, 1, 1, 1, 1, 1}) // claims 256 MB
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, []byte{5})                   // five bytes of length
	f.Add([]byte{0xC0, 0x80, 0x00, 0xC0, 0x00}, []byte{2})                         // length in more bytes than needed
	f.Add(append(frame(mqtt.PUBLISH, 0, make([]byte, 5000)), whole...), []byte{255, 0, 255})
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		const most = 8 << 10
		want := &note{max: most}
		wantOK := uncut(want, b)
		got := &note{max: most}
		ok := feed(t, got, b, cuts)
		if ok != wantOK || got.bad != want.bad || !slices.Equal(got.packets, want.packets) {
			t.Errorf("got %v, bad %d, %q\nwant %v, bad %d, %q", ok, got.bad, got.packets, wantOK, want.bad, want.packets)
		}
	})
}

// uncut gives c the packets of b; false: b holds something that is none.
func uncut(c *note, b []byte) bool {
	for len(b) > 0 {
		h, n, err := mqtt.ParseHeader(b)
		if err != nil || n > 0 && n+h.Length > c.max {
			c.bad++
			return false
		}
		if n == 0 || len(b) < n+h.Length {
			return true
		}
		c.Packet(h, b[n:n+h.Length])
		b = b[n+h.Length:]
	}
	return true
}

// feed does what run does, with b for the socket, which has cuts[i]*8+1 bytes at a time; after each, nothing comes for a while.
func feed(t *testing.T, client Client, b, cuts []byte) bool {
	s := &Server{opts: (&Options{}).withDefaults(), clock: atomic.Uint32{}}
	c := &conn{s: s, l: &listener{}, client: client, dead: true} // dead: there is no socket to close
	defer func() {
		if c.in != nil {
			s.inPool.put(c.in)
		}
		if held := s.inPool.held.Load(); held != 0 {
			t.Errorf("%d bytes are held in the end", held)
		}
	}()
	for i, came := 0, 0; len(b) > 0; i++ {
		piece := b
		if i < len(cuts) {
			piece = b[:min(len(b), int(cuts[i])*8+1)]
		}
		b = b[len(piece):]
		for r := bytes.NewReader(piece); r.Len() > 0; {
			n, _ := r.Read(c.space())
			came += n
			c.got(n)
			if held := s.inPool.held.Load(); held > int64(2*came+64<<10) {
				t.Fatalf("%d bytes are held after %d came", held, came)
			}
			if !c.packets() {
				return false
			}
		}
		c.shrink()
	}
	return true
}
