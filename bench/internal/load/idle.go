package load

import (
	"fmt"
	"net/netip"
)

// Idle opens n connections with one subscription each, that do nothing. The caller closes them, whatever the error.
func Idle(addr netip.AddrPort, n int) ([]*Conn, error) {
	conns := make([]*Conn, 0, n)
	for i := range n {
		c, _, err := Dial(addr, fmt.Sprintf("idle-%d", i), true)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		if err := c.Subscribe(0, []string{fmt.Sprintf("idle/%d/command", i)}); err != nil {
			return conns, err
		}
	}
	return conns, nil
}
