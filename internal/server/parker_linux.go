package server

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// parker waits for connections that have been idle, all on one goroutine: a parked connection has none. A goroutine with
// its stack is more than all the rest of an idle connection together.
//
// It has an epoll instance of its own, beside the one of the net package in which each socket stays too. A socket is armed
// for one event, level-triggered: what came before it was armed counts, so no wake-up is lost. The instance itself is waited for in the
// net package's, so no thread is held.
type parker struct {
	file *os.File // the epoll instance
	fd   int
	raw  syscall.RawConn
	done chan struct{} // closed when wait has ended

	mu     sync.Mutex
	parked []*conn // by descriptor; nil: none
}

// parkEvents is how many events are taken from the kernel at a time.
const parkEvents = 128

func newParker() (*parker, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create an epoll instance: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // makes os.File wait in the net package's way
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make epoll non-blocking: %w", err)
	}
	p := &parker{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, done: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("wait for epoll: %w", err)
	}
	go p.wait()
	return p, nil
}

// close ends wait. No connection is parked any more.
func (p *parker) close() {
	_ = p.file.Close()
	<-p.done
}

// wait wakes connections until close.
func (p *parker) wait() {
	defer close(p.done)
	var events [parkEvents]unix.EpollEvent
	_ = p.raw.Read(func(fd uintptr) bool { // ends when the file is closed
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
				return false
			}
			for _, e := range events[:max(n, 0)] {
				if c := p.at(int(e.Fd)); c != nil {
					c.unpark()
				}
			}
		}
	})
}

// at is the connection that is parked at fd. A late event may be of a socket that had this descriptor before; then it wakes the
// wrong one, which finds nothing to read.
func (p *parker) at(fd int) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd < len(p.parked) {
		return p.parked[fd]
	}
	return nil
}

// park leaves c, whose reading goroutine calls this and must not touch c afterwards, to the parker; false: it is not.
func (p *parker) park(c *conn) bool {
	ok := false
	err := c.sock.raw.Control(func(descriptor uintptr) {
		fd := int(descriptor)
		p.mu.Lock()
		for fd >= len(p.parked) {
			p.parked = append(p.parked, nil)
		}
		p.parked[fd] = c
		p.mu.Unlock()
		c.parked.Store(int32(fd) + 1)
		ok = p.arm(fd) == nil || !c.claim()
	})
	if err != nil {
		return false // closed meanwhile
	}
	if ok && c.stop.Load() { // whoever set stop may have come before parked was set
		c.unpark()
	}
	return ok
}

func (p *parker) arm(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &e)
	if errors.Is(err, unix.ENOENT) { // parked for the first time
		err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e)
	}
	return err
}

// forget is told that c, parked at fd, is not any more.
func (p *parker) forget(fd int, c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parked[fd] == c {
		p.parked[fd] = nil
	}
}
