package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// dialWS connects a WebSocket; o may be nil. The connection is closed when the test ends.
func (h *harness) dialWS(url string, o *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	h.t.Helper()
	if o == nil {
		o = &websocket.DialOptions{Subprotocols: []string{"mqtt"}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, url, o)
	if err == nil {
		ws.SetReadLimit(-1)
		h.t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, resp, err
}

func (h *harness) mustDialWS() *websocket.Conn {
	h.t.Helper()
	ws, _, err := h.dialWS("ws://"+h.addr[WS]+"/mqtt", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return ws
}

func sendWS(t *testing.T, ws *websocket.Conn, kind websocket.MessageType, b []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := ws.Write(ctx, kind, b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// endWS reads to the end and returns the status that the server closed with.
func endWS(t *testing.T, ws *websocket.Conn) (status websocket.StatusCode, got []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		kind, b, err := ws.Read(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("the server did not close")
		}
		if err != nil {
			return websocket.CloseStatus(err), got
		}
		if kind != websocket.MessageBinary {
			t.Errorf("a frame of kind %v", kind)
		}
		got = append(got, b...)
	}
}

// Which requests become connections, and how the others are answered.
func TestWebSocketHandshake(t *testing.T) {
	mqttOnly := []string{"mqtt"}
	for _, c := range []struct {
		name    string
		path    string
		server  Listener
		offered []string
		origin  string
		status  int
	}{
		{"mqtt", "/mqtt", Listener{}, mqttOnly, "", 101},
		{"mqtt among others", "/mqtt", Listener{}, []string{"x", "mqtt"}, "", 101},
		{"no sub-protocol", "/mqtt", Listener{}, nil, "", 400},
		{"MQTT 3.1", "/mqtt", Listener{}, []string{"mqttv3.1"}, "", 101},
		{"another sub-protocol", "/mqtt", Listener{}, []string{"chat"}, "", 400},
		{"another path", "/", Listener{}, mqttOnly, "", 404},
		{"path below", "/mqtt/x", Listener{}, mqttOnly, "", 404},
		{"path as set", "/ws", Listener{Path: "/ws"}, mqttOnly, "", 101},
		{"page of this host", "/mqtt", Listener{}, mqttOnly, "same", 101},
		{"page of another host", "/mqtt", Listener{}, mqttOnly, "https://evil.example", 403},
		{"page of an allowed host", "/mqtt", Listener{Origins: []string{"*.example.com"}}, mqttOnly, "https://app.example.com", 101},
		{"allowed with another scheme", "/mqtt", Listener{Origins: []string{"https://example.com"}}, mqttOnly, "http://example.com", 403},
		{"page of any host", "/mqtt", Listener{Origins: []string{"*"}}, mqttOnly, "https://evil.example", 101},
		{"origin null, any host", "/mqtt", Listener{Origins: []string{"*"}}, mqttOnly, "null", 101},
		{"origin null", "/mqtt", Listener{}, mqttOnly, "null", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.Kind = WS
			h := start(t, Options{}, nil, c.server)
			o := &websocket.DialOptions{Subprotocols: c.offered, HTTPHeader: http.Header{}}
			if c.origin == "same" {
				c.origin = "http://" + h.addr[WS]
			}
			if c.origin != "" {
				o.HTTPHeader.Set("Origin", c.origin)
			}
			ws, resp, err := h.dialWS("ws://"+h.addr[WS]+c.path, o)
			if resp == nil || resp.StatusCode != c.status {
				t.Fatalf("response %v, error %v, want status %d", resp, err, c.status)
			}
			if c.status == http.StatusSwitchingProtocols && (ws.Subprotocol() == "" || !slices.Contains(c.offered, ws.Subprotocol())) {
				t.Errorf("the sub-protocol is %q", ws.Subprotocol())
			}
			if c.status != http.StatusSwitchingProtocols {
				eventually(t, "the connection is gone", func() bool { return h.Stats().Open == 0 })
			}
		})
	}
}

// Packets across frames, several in a frame, in fragments of a message, in empty frames, between pings.
func TestWebSocketFraming(t *testing.T) {
	h := start(t, Options{}, nil, Listener{Kind: WS})
	b, want := stream()
	for _, size := range []int{1, 2, 3, 7, 100, len(b)} {
		ws := h.mustDialWS()
		for piece := range slices.Chunk(b, size) {
			sendWS(t, ws, websocket.MessageBinary, piece)
			if size > 2 {
				sendWS(t, ws, websocket.MessageBinary, nil)
			}
		}
		r := h.next()
		eventually(t, "all packets", func() bool { return slices.Equal(r.got(), want) })
	}
	ws := h.mustDialWS()
	w, err := ws.Writer(context.Background(), websocket.MessageBinary)
	if err != nil {
		t.Fatal(err)
	}
	for piece := range slices.Chunk(b, 5) { // each a frame of one message
		send(t, w, piece)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := h.next()
	eventually(t, "all packets", func() bool { return slices.Equal(r.got(), want) })
}

// A message larger than any buffer, and one that is longer than the WebSocket library's usual limit.
func TestWebSocketLarge(t *testing.T) {
	h := start(t, Options{}, nil, Listener{Kind: WS})
	ws := h.mustDialWS()
	body := bytes.Repeat([]byte("x"), 900_000)
	sendWS(t, ws, websocket.MessageBinary, slices.Concat(connect, frame(mqtt.PUBLISH, 0, body), pingreq))
	r := h.next()
	eventually(t, "all packets", func() bool { return len(r.got()) == 3 })
	if got := r.got()[1]; got != "PUBLISH0:"+string(body) {
		t.Errorf("%d bytes arrived", len(got))
	}
	header, payload := numbered(1, 2, 500_000)
	r.conn.SendPublish(header, payload)
	r.conn.Close()
	status, got := endWS(t, ws)
	if status != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", status)
	}
	if want := slices.Concat(connack, pingresp, header, payload); !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, want %d", len(got), len(want))
	}
}

// A frame that is not binary ends the connection [MQTT-6.0.0-1].
func TestWebSocketText(t *testing.T) {
	h := start(t, Options{}, nil, Listener{Kind: WS})
	ws := h.mustDialWS()
	sendWS(t, ws, websocket.MessageText, connect)
	if status, _ := endWS(t, ws); status != websocket.StatusUnsupportedData {
		t.Errorf("closed with %v", status)
	}
	r := h.next()
	if reason := r.waitClosed(); reason != errTextFrame.Error() {
		t.Errorf("reason is %q", reason)
	}
	if len(r.got()) != 0 {
		t.Errorf("handled %q", r.got())
	}
}

// Both ends of a WebSocket's life: the client closes, the client is silent, the client does not read, there is no room.
func TestWebSocketEnds(t *testing.T) {
	t.Run("client closes", func(t *testing.T) {
		h := start(t, Options{}, nil, Listener{Kind: WS})
		ws := h.mustDialWS()
		if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Fatal(err)
		}
		if reason := h.next().waitClosed(); !strings.HasPrefix(reason, "closed by the client") {
			t.Errorf("reason is %q", reason)
		}
	})
	t.Run("keep-alive", func(t *testing.T) {
		h := start(t, Options{}, func(r *recorder) { r.keepAlive = 100 * time.Millisecond }, Listener{Kind: WS})
		ws := h.mustDialWS()
		sendWS(t, ws, websocket.MessageBinary, connect)
		if status, got := endWS(t, ws); status != websocket.StatusNormalClosure || string(got) != string(connack)+"late" {
			t.Errorf("closed with %v after %q", status, got)
		}
		h.next().waitClosed()
	})
	t.Run("client does not read", func(t *testing.T) {
		h := start(t, Options{WriteTimeout: 300 * time.Millisecond}, nil, Listener{Kind: WS})
		ws := h.mustDialWS()
		sendWS(t, ws, websocket.MessageBinary, connect)
		r := h.next()
		eventually(t, "the connection is accepted", r.connected.Load)
		stuff(t, h, r)
		if reason := r.waitClosed(); !strings.Contains(reason, "does not read") {
			t.Errorf("reason is %q", reason)
		}
	})
	t.Run("client does not answer the close", func(t *testing.T) {
		h := start(t, Options{}, nil, Listener{Kind: WS})
		h.mustDialWS()
		r := h.next()
		r.conn.Close()
		r.waitClosed()
		eventually(t, "the connection is gone", func() bool { return h.Stats().Open == 0 })
	})
	// The session is told before: who takes its place does not wait for a client that is gone.
	t.Run("client answers the close late", func(t *testing.T) {
		h := start(t, Options{Linger: time.Hour}, nil, Listener{Kind: WS})
		ws := h.mustDialWS()
		sendWS(t, ws, websocket.MessageBinary, connect)
		r := h.next()
		eventually(t, "the connection is accepted", r.connected.Load)
		began := time.Now()
		r.conn.Close()
		r.waitClosed()
		if d := time.Since(began); d > time.Second { // a close handshake without an answer takes more than 2 s
			t.Errorf("the session was told after %s", d)
		}
		if status, got := endWS(t, ws); status != websocket.StatusNormalClosure || !bytes.Equal(got, connack) {
			t.Errorf("closed with %v after %x", status, got)
		}
		eventually(t, "the connection is gone", func() bool { return h.Stats().Open == 0 })
	})
	t.Run("no room", func(t *testing.T) {
		h := start(t, Options{MaxConn: 1}, nil, Listener{Kind: WS})
		h.mustDialWS()
		ws := h.mustDialWS()
		sendWS(t, ws, websocket.MessageBinary, connectV5)
		if _, got := endWS(t, ws); !bytes.Equal(got, []byte{0x20, 3, 0, 0x89, 0}) {
			t.Errorf("answered %x", got)
		}
	})
}

// WebSocket over TLS, with a client certificate.
func TestWSS(t *testing.T) {
	ours := newAuthority(t)
	h := start(t, Options{}, nil, Listener{Kind: WSS, TLS: ours.files(TLSFiles{ClientAuth: "require", CA: ours.file})})
	dial := func(c *tls.Config) (*websocket.Conn, error) {
		transport := &http.Transport{TLSClientConfig: c}
		t.Cleanup(transport.CloseIdleConnections)
		ws, _, err := h.dialWS("wss://"+h.addr[WSS]+"/mqtt", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"mqtt"},
		})
		return ws, err
	}
	if _, err := dial(ours.client(nil, 0)); err == nil {
		t.Error("connected without a certificate")
	}
	ws, err := dial(ours.client(ours, 0))
	if err != nil {
		t.Fatal(err)
	}
	sendWS(t, ws, websocket.MessageBinary, slices.Concat(connect, pingreq, disconnect))
	if _, got := endWS(t, ws); !bytes.Equal(got, slices.Concat(connack, pingresp)) {
		t.Errorf("read %x", got)
	}
	r := h.next()
	r.waitClosed()
	if r.peer.Listener != "wss" || r.peer.TLS == nil || len(r.peer.TLS.PeerCertificates) != 1 {
		t.Errorf("peer is %+v", r.peer)
	}
}

// What is no HTTP, or too much of it, gets no connection.
func TestWebSocketGarbage(t *testing.T) {
	h := start(t, Options{}, nil, Listener{Kind: WS})
	h.addr[TCP] = h.addr[WS]
	for _, sent := range [][]byte{connect, []byte("GET /mqtt HTTP/1.1\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n")} {
		c := h.dial()
		go func() { _, _ = c.Write(append(sent, "\r\n\r\n"...)) }()
		_, _ = io.Copy(io.Discard, c)
	}
	eventually(t, "both are gone", func() bool { return h.Stats().Open == 0 })
}
