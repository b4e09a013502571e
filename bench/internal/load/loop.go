// Package load makes the load: one goroutine on one thread, all connections in one epoll, packets from templates, no allocation while it
// runs. A broker under test gets the other processors to itself, and what the generator costs is known: the time of one thread.
package load

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

const readSize = 256 << 10

// loop polls connections.
type loop struct {
	ep     int
	timer  int // a timerfd; 0: none
	conns  []*Conn
	events []unix.EpollEvent
	buf    []byte
	p      wire.Packet // the one that is handled
	base   time.Time
	packet func(*Conn, *wire.Packet) error
	failed func(*Conn, error) error // called when a connection cannot be read any more; the error that it returns ends the load
	woke   func()                   // called when a poll returns, before what it found is handled
}

func newLoop() (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	return &loop{ep: ep, events: make([]unix.EpollEvent, 256), buf: make([]byte, readSize), base: time.Now()}, nil
}

// now is the generator's clock, in nanoseconds.
func (l *loop) now() int64 { return int64(time.Since(l.base)) }

func (l *loop) add(c *Conn) error {
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return fmt.Errorf("make a socket not block: %w", err)
	}
	l.conns = append(l.conns, c)
	return l.watch(unix.EPOLL_CTL_ADD, c.fd, len(l.conns)-1, false)
}

// watch tells epoll of a descriptor; which is what the event will say of it.
func (l *loop) watch(op, fd, which int, writable bool) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(which)}
	if writable {
		e.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(l.ep, op, fd, &e); err != nil {
		return fmt.Errorf("watch a descriptor: %w", err)
	}
	return nil
}

const isTimer = -1

// every makes poll return each time d has passed.
func (l *loop) every(d time.Duration) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a timer: %w", err)
	}
	l.timer = fd
	at := unix.NsecToTimespec(int64(d))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: at, Value: at}, nil); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	return l.watch(unix.EPOLL_CTL_ADD, fd, isTimer, false)
}

// poll waits for at most so many milliseconds, and handles what came.
func (l *loop) poll(ms int) error {
	n, err := unix.EpollWait(l.ep, l.events, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll: %w", err)
	}
	l.woke()
	for i := range max(n, 0) {
		e := &l.events[i]
		if e.Fd == isTimer {
			_, _ = unix.Read(l.timer, l.buf[:8])
			continue
		}
		if err := l.ready(l.conns[e.Fd], int(e.Fd), e.Events); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) ready(c *Conn, which int, events uint32) error {
	if events&unix.EPOLLOUT != 0 {
		c.blocked = false
		if err := l.watch(unix.EPOLL_CTL_MOD, c.fd, which, false); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT != 0 {
		if err := c.read(l.buf, &l.p, l.packet); err != nil {
			return l.failed(c, err)
		}
	}
	return l.flush(c, which)
}

func (l *loop) flush(c *Conn, which int) error {
	was := c.blocked
	if err := c.flush(); err != nil {
		return err
	}
	if c.blocked && !was {
		return l.watch(unix.EPOLL_CTL_MOD, c.fd, which, true)
	}
	return nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		c.Close()
	}
	if l.timer > 0 {
		_ = unix.Close(l.timer)
	}
	_ = unix.Close(l.ep)
}
