package rocketmqtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Ports are given out in fours, below those that tests/internal/broker chooses from and those that the kernel gives to
// outgoing connections: while a killed broker is down, nobody must be given its port.
const (
	firstPort = 4_000
	lastPort  = 8_800
	portTries = 400
)

// Where in its four ports a server listens: a broker also uses listenPort-2 (fast) and listenPort+1 (HA).
const (
	portsEach  = 4
	listenPort = 2
)

// ports are four ports in a row that are ours until close, also while nobody listens there.
type ports struct {
	first int
	lock  *os.File // other test processes that use this kit look at it
}

func (p ports) listen() int { return p.first + listenPort }

func (p ports) addr() string { return loopback(p.listen()) }

func (p ports) close() { _ = p.lock.Close() }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// takePorts finds four ports that nobody has.
func takePorts(ctx context.Context) (ports, error) {
	dir := filepath.Join(os.TempDir(), "rocketmqtest-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ports{}, err
	}
	for range portTries {
		if err := ctx.Err(); err != nil {
			return ports{}, err
		}
		first := firstPort + portsEach*rand.IntN((lastPort-firstPort)/portsEach)
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(first)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return ports{}, err
		}
		if ok, err := tryLock(lock); err == nil && ok && nobodyListens(first) {
			return ports{first: first, lock: lock}, nil
		}
		_ = lock.Close()
	}
	return ports{}, fmt.Errorf("no %d free ports in a row on loopback after %d tries", portsEach, portTries)
}

// nobodyListens asks it of all addresses, as a broker's HA port is not bound to loopback.
func nobodyListens(first int) bool {
	for port := first; port < first+portsEach; port++ {
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port)) //nolint:gosec // is closed at once
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
