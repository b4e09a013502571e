package server

import "sync/atomic"

// Stats are counters since New, but for the gauges.
type Stats struct {
	Open     int // gauge: connections, those that are being refused included
	Limit    int // Options.MaxConn, or what the limit of open files leaves of it
	Accepted uint64
	Refused  uint64 // beyond MaxConn, whether answered or not

	BytesIn  uint64 // of MQTT, without TLS and WebSocket framing
	BytesOut uint64
	Queued   int64 // gauge: bytes of memory that wait to be written, payloads counted once for each connection
	Partial  int64 // gauge: bytes of memory that hold what was read

	Dropped    uint64 // packets given to a connection that was closing
	Slow       uint64 // connections closed because the client did not read
	Timeouts   uint64 // connections closed because of connect timeout, packet timeout or keep-alive
	Handshakes uint64 // TLS and WebSocket handshakes that failed
	AcceptErrs uint64 // errors of accept, such as no free descriptors
}

type counters struct {
	accepted, refused, bytesIn, bytesOut, dropped, slow, timeouts, handshakes, acceptErrs atomic.Uint64
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	n := &s.stats
	return Stats{
		Open:       open,
		Limit:      s.opts.MaxConn,
		Accepted:   n.accepted.Load(),
		Refused:    n.refused.Load(),
		BytesIn:    n.bytesIn.Load(),
		BytesOut:   n.bytesOut.Load(),
		Queued:     s.outPool.held.Load(),
		Partial:    s.inPool.held.Load(),
		Dropped:    n.dropped.Load(),
		Slow:       n.slow.Load(),
		Timeouts:   n.timeouts.Load(),
		Handshakes: n.handshakes.Load(),
		AcceptErrs: n.acceptErrs.Load(),
	}
}
