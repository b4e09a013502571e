package broker

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are chosen below the range that the kernel gives to outgoing connections (32768 and up on Linux): while a
// killed broker is down, a client of another test, or one that dials this very port, must not be given its port.
const (
	firstPort = 10_000
	lastPort  = 32_000
	portTries = 200
)

// freePorts finds n ports on loopback that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // after all are chosen, so that they differ
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports on loopback after %d tries", n, portTries)
}

// FreeAddrs are two addresses on loopback that nobody listens on, for a broker that the test starts by itself.
func FreeAddrs() (tcp, ws string, err error) {
	ports, err := freePorts(2)
	if err != nil {
		return "", "", err
	}
	return loopback(ports[0]), loopback(ports[1]), nil
}
