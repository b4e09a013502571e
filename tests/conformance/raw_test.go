package conformance

import (
	"bufio"
	"io"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// raw is a client that sees bytes.
type raw struct {
	*client
	in *bufio.Reader
}

func (r *run) rawClient() *raw { return r.rawTo(r.open) }

func (r *run) rawTo(b *broker.Broker) *raw {
	c := r.dialTo(b)
	return &raw{client: c, in: bufio.NewReader(c.Net())}
}

// connectRaw is a raw client that is connected and whose packets after CONNACK are not read yet.
func (r *run) connectRaw(name string, edits ...edit) *raw {
	r.Helper()
	c := r.rawClient()
	c.send(r.hello(name, edits...))
	if first, body := c.frame(); first != 0x20 || body[1] != 0 {
		r.Fatalf("CONNECT was answered with %#x % x", first, body)
	}
	return c
}

// frame reads one packet: its first byte, and what follows the remaining length.
func (c *raw) frame() (first byte, body []byte) {
	c.r.Helper()
	_ = c.Net().SetReadDeadline(time.Now().Add(patience))
	first, err := c.in.ReadByte()
	n := 0
	for shift := 0; err == nil; shift += 7 {
		var b byte
		b, err = c.in.ReadByte()
		n |= int(b&0x7F) << shift
		if b < 0x80 {
			break
		}
	}
	body = make([]byte, n)
	if err == nil {
		_, err = io.ReadFull(c.in, body)
	}
	if err != nil {
		c.r.Fatalf("read a packet: %v", err)
	}
	return first, body
}

// firsts reads packets until one begins with last, and returns their first bytes.
func (c *raw) firsts(last byte) []byte {
	c.r.Helper()
	var all []byte
	for {
		first, _ := c.frame()
		if all = append(all, first); first == last {
			return all
		}
	}
}

// end says that the broker has closed and nothing more came.
func (c *raw) end() {
	c.r.Helper()
	_ = c.Net().SetReadDeadline(time.Now().Add(patience))
	if b, err := c.in.ReadByte(); !closed(err) {
		c.r.Errorf("read %#x, %v; want the end", b, err)
	}
}

// packet is a whole packet: its first byte, the length, and the parts.
func packet(first byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	b := []byte{first}
	n := len(body)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), body...)
}

// str is a string with its length.
func str(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// props is a block of properties, which only MQTT 5 has.
func (r *run) props(parts ...[]byte) []byte {
	if !r.isV5() {
		return nil
	}
	body := slices.Concat(parts...)
	return append([]byte{byte(len(body))}, body...)
}
