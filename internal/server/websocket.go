package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	defaultPath = "/mqtt"
	headerBytes = 8 << 10
)

// subprotocols are what clients may ask for [MQTT-6.0.0-3]; those of MQTT 3.1 have a name of their own.
var subprotocols = []string{"mqtt", "mqttv3.1"}

var errTextFrame = errors.New("a WebSocket frame that is not binary")

type connKey struct{}

// httpServer serves nothing but the WebSocket at o.Path.
func (l *listener) httpServer(o Listener) *http.Server {
	path := o.Path
	if path == "" {
		path = defaultPath
	}
	accept := &websocket.AcceptOptions{Subprotocols: subprotocols} // no compression: no bombs
	for _, origin := range o.Origins {
		accept.InsecureSkipVerify = accept.InsecureSkipVerify || origin == "*"
		accept.OriginPatterns = append(accept.OriginPatterns, origin)
	}
	web := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				http.NotFound(w, r)
				return
			}
			l.upgrade(w, r, accept)
		}),
		ReadHeaderTimeout: l.s.opts.ConnectTimeout, // TLS handshake and header; the scanner bounds the whole
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(l.s.seldom.Handler("HTTP"), slog.LevelDebug),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2: it cannot be taken over
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			if t, ok := nc.(*tls.Conn); ok {
				nc = t.NetConn()
			}
			return context.WithValue(ctx, connKey{}, nc.(*sock).c)
		},
	}
	web.SetKeepAlivesEnabled(false)
	return web
}

// upgrade makes an MQTT connection of an HTTP request.
func (l *listener) upgrade(w http.ResponseWriter, r *http.Request, accept *websocket.AcceptOptions) {
	if !offersMQTT(r.Header) {
		l.s.stats.handshakes.Add(1)
		http.Error(w, "the WebSocket sub-protocol mqtt must be asked for", http.StatusBadRequest)
		return
	}
	ws, err := websocket.Accept(w, r, accept) // answers with the sub-protocol [MQTT-6.0.0-4]
	if err != nil {
		l.s.stats.handshakes.Add(1)
		l.s.seldom.Debug("handshake failed", "peer", r.RemoteAddr, "listener", l.kind, "err", err)
		return
	}
	ws.SetReadLimit(-1) // a message has no meaning in MQTT; packets are limited
	c := r.Context().Value(connKey{}).(*conn)
	c.stream = &wsStream{Conn: ws, c: c, tls: r.TLS}
	if !l.s.begin(c) {
		_ = ws.CloseNow()
	}
}

// offersMQTT reports whether the client named a sub-protocol that is spoken [MQTT-6.0.0-3].
func offersMQTT(h http.Header) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if slices.Contains(subprotocols, strings.ToLower(strings.TrimSpace(name))) {
				return true
			}
		}
	}
	return false
}

// wsStream is the bytes in the binary frames of a WebSocket, as if there were no frames [MQTT-6.0.0-2].
type wsStream struct {
	*websocket.Conn
	c       *conn
	tls     *tls.ConnectionState
	message io.Reader // of the message that is being read; nil between messages
}

// Read reads from one message, waiting for it; not at the same time on two goroutines.
func (w *wsStream) Read(b []byte) (int, error) {
	for {
		if w.message == nil {
			kind, message, err := w.Reader(context.Background())
			if err != nil {
				return 0, err
			}
			if kind != websocket.MessageBinary { // [MQTT-6.0.0-1]
				w.goodbye(websocket.StatusUnsupportedData)
				return 0, errTextFrame
			}
			w.message = message
		}
		n, err := w.message.Read(b)
		if errors.Is(err, io.EOF) {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// goodbye closes, and gives the client a bounded time to answer.
func (w *wsStream) goodbye(status websocket.StatusCode) {
	_ = w.c.sock.SetReadDeadline(time.Now().Add(w.c.s.opts.Linger))
	_ = w.Close(status, "")
}

// Write writes b as one binary message.
func (w *wsStream) Write(b []byte) (int, error) {
	if err := w.Conn.Write(context.Background(), websocket.MessageBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}
