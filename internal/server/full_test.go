package server

import (
	"bytes"
	"io"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// What a worker is writing at the moment does not wait for the client: a client that reads all it is sent is not full, however long the
// worker is kept from noting that the kernel took it.
func TestFullCountsWhatWaits(t *testing.T) {
	const size, high = 1000, 64 << 10
	h := start(t, Options{HighWater: high, LowWater: 1 << 10}, nil)
	client, r := h.connect()
	c := r.conn.(*conn)
	c.mu.Lock()
	c.writer = writerBusy // this test is the worker
	c.mu.Unlock()

	packet := frame(mqtt.PUBLISH, 0, make([]byte, size))
	sent := 0
	queue := func() { // almost as much as may wait
		for n := 0; n+len(packet) < high; n += len(packet) {
			r.conn.SendPublish(packet, nil)
			sent += len(packet)
		}
	}
	queue()
	op := newWriteOp(pieces)
	if !c.take(op) {
		t.Fatal("dead")
	}
	if err := c.write(op); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, op.n)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	queue()
	if r.conn.Full() {
		t.Error("full, with less than HighWater that waits")
	}
	r.conn.SendPublish(packet, nil)
	r.conn.SendPublish(packet, nil)
	sent += 2 * len(packet)
	if !r.conn.Full() {
		t.Error("not full, with more than HighWater that waits")
	}
	if c.settle(op.n, nil) {
		c.s.flusher.push(c)
	}
	rest := make([]byte, sent-len(got))
	if _, err := io.ReadFull(client, rest); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, rest...), bytes.Repeat(packet, sent/len(packet))) {
		t.Error("damaged")
	}
}
