package conformance

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/coder/websocket"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

func transportTests() []test {
	return []test{
		{"6.0.0-1", "6.0.0-1", binaryFrames},
		{"6.0.0-2", "6.0.0-2", framesAndPackets},
		{"6.0.0-4", "6.0.0-4", subProtocol},
		{"7.1.1-1", "4.2.0-1", transports},
	}
}

// dialWS connects to the open broker over WebSocket.
func (r *run) dialWS(protocols ...string) *websocket.Conn {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, r.open.WSURL(), &websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		r.Fatal(err)
	}
	ws.SetReadLimit(-1)
	r.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func (r *run) write(ws *websocket.Conn, kind websocket.MessageType, b []byte) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := ws.Write(ctx, kind, b); err != nil {
		r.Fatal(err)
	}
}

// readWS reads n bytes of binary frames.
func (r *run) readWS(ws *websocket.Conn, n int) []byte {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []byte
	for len(got) < n {
		kind, b, err := ws.Read(ctx)
		if err != nil || kind != websocket.MessageBinary {
			r.Fatalf("read a frame of kind %v: %v", kind, err)
		}
		got = append(got, b...)
	}
	return got
}

// What is sent comes in binary frames; a text frame ends the connection, before CONNECT and after.
func binaryFrames(r *run) {
	hello := r.hello("").Append(nil, r.v)
	for _, before := range [][]byte{nil, hello} {
		ws := r.dialWS("mqtt")
		if before != nil {
			r.write(ws, websocket.MessageBinary, before)
			r.readWS(ws, 4)
		}
		r.write(ws, websocket.MessageText, slices.Concat(hello, []byte{0xC0, 0}))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		for {
			if _, b, err := ws.Read(ctx); err != nil {
				if ctx.Err() != nil {
					r.Error("the connection was not closed")
				}
				break
			} else if bytes.Contains(b, []byte{0xD0, 0}) {
				r.Error("a packet in a text frame was answered")
			}
		}
		cancel()
	}
}

// Packets in frames of one byte, of a few, and all in one.
func framesAndPackets(r *run) {
	for _, size := range []int{1, 2, 5, 100, 1000} {
		packets := slices.Concat(
			r.hello(fmt.Sprint(size)).Append(nil, r.v),
			packet(0x82, []byte{0, 1}, r.props(), str(fmt.Sprint(r.topic, "/", size)), []byte{0}),
			packet(0x30, str(fmt.Sprint(r.topic, "/", size)), r.props(), bytes.Repeat([]byte("x"), 300)),
			packet(0xC0),
		)
		ws := r.dialWS("mqtt")
		for piece := range slices.Chunk(packets, size) {
			r.write(ws, websocket.MessageBinary, piece)
		}
		// CONNACK is the first; the message comes before or after PINGRESP, for it goes through the store.
		got := r.readWS(ws, 300)
		for !bytes.Contains(got, []byte{0xD0, 0}) || !bytes.Contains(got, bytes.Repeat([]byte("x"), 300)) {
			got = append(got, r.readWS(ws, 1)...)
		}
		if got[0] != 0x20 {
			r.Errorf("frames of %d bytes: read % x", size, got)
		}
	}
}

func subProtocol(r *run) {
	for _, offered := range [][]string{{"mqtt"}, {"chat", "mqtt"}} {
		if got := r.dialWS(offered...).Subprotocol(); got != "mqtt" {
			r.Errorf("of %v the broker chose %q", offered, got)
		}
	}
}

// A large message goes through unharmed, in both directions, over TCP and over WebSocket.
func transports(r *run) {
	payload := make([]byte, 300_000)
	for i := range payload {
		payload[i] = byte(i * i >> 8)
	}
	ws := r.dialWS("mqtt")
	over := &client{r: r, Conn: wire.New(websocket.NetConn(context.Background(), ws, websocket.MessageBinary), r.v)}
	over.send(r.hello("ws"))
	read[mqtt.Connack](over)
	tcp := r.connect("tcp")
	for _, c := range []*client{over, tcp} {
		c.subscribe(r.topic, 1)
	}
	for _, c := range []*client{over, tcp} {
		c.send(&mqtt.Publish{Topic: []byte(r.topic), Payload: payload, QoS: 0})
		for _, sub := range []*client{over, tcp} {
			if p := read[mqtt.Publish](sub); !bytes.Equal(p.Payload, payload) {
				r.Errorf("%d bytes came, not those that were sent", len(p.Payload))
			}
		}
	}
}
