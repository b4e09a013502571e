package server

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// sock is the socket below everything else. As a net.Conn it is what TLS and HTTP are built on.
//
// With raw set, one goroutine reads inside a callback of raw.Read, with fd set: Read then does not wait but returns
// errWouldBlock, also through a tls.Conn, which takes it as a temporary error and keeps its state. So neither a buffer nor a deep
// stack is held while nothing comes.
type sock struct {
	net.Conn
	c      *conn
	raw    syscall.RawConn // nil: reading and writing wait in the net package
	fd     int             // valid inside a callback of raw.Read, else -1; the reading goroutine's
	wrote  atomic.Uint32   // tick of the last progress in writing
	closed atomic.Bool
}

// errWouldBlock says that nothing can be read now.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read now" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true } // crypto/tls asks for it

// Read implements net.Conn.
func (s *sock) Read(b []byte) (int, error) {
	if s.fd >= 0 {
		return readFD(s.fd, b)
	}
	return s.Conn.Read(b)
}

// writePiece is how much is written at once where progress cannot be seen otherwise, in bytes.
const writePiece = 16 << 10

// Write implements net.Conn; it notes progress.
func (s *sock) Write(b []byte) (written int, err error) {
	for {
		n, err := s.Conn.Write(b[:min(len(b), writePiece)])
		written += n
		if n > 0 {
			s.wrote.Store(s.c.s.now())
		}
		if b = b[n:]; err != nil || len(b) == 0 {
			return written, err
		}
	}
}

// Close closes the socket and gives the connection's slot back. Idempotent.
func (s *sock) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.Conn.Close()
	s.c.s.remove(s.c)
	return err
}

// abort closes so that the kernel forgets what was not sent, instead of trying for minutes.
func (s *sock) abort() {
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = s.Close()
}

// closeWrite tells the peer that nothing more comes.
func (s *sock) closeWrite() {
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// interrupt makes a read that waits, or else the next one, fail with a timeout.
func (s *sock) interrupt() { _ = s.SetReadDeadline(time.Unix(1, 0)) }

// lingerMost is how many bytes are read and thrown away at most.
const lingerMost = 4 << 20

// linger waits until the peer has closed, for at most d. A socket that is closed with unread input resets the
// connection, and the peer may never see the last packets, which say why.
func (s *sock) linger(d time.Duration, b []byte) {
	_ = s.SetReadDeadline(time.Now().Add(d))
	for left := lingerMost; left > 0; {
		n, err := s.Conn.Read(b)
		if err != nil {
			return
		}
		left -= n
	}
}

// peer is the address of the other end.
func (s *sock) peer() netip.AddrPort {
	if a, ok := s.RemoteAddr().(*net.TCPAddr); ok {
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
