package limits

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	// idleEnv says how many connections are idle at a time, where fewer than the goal is about are wanted.
	idleEnv  = "ROCKETMQTT_TEST_IDLE"
	idleMost = 15_000

	afterStart = 60 * mib // resident
	perIdle    = 6 * kib  // resident, for each idle connection with one subscription
)

// An idle TCP connection with one subscription costs little memory, whatever it did before, and goes on working.
//
// Resident is what the process has, not what is in use: what it took while the clients connected and does not need any more counts too,
// until the runtime gives it back. The kernel's memory for the sockets does not.
func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name string
		keep bool  // sessions outlive their connections
		talk int   // messages of QoS 1 that each has sent and got before
		once int64 // bytes that the broker may take besides, once for all
	}{
		{"new", false, 0, 0},
		{"persistent, used", true, 2, 16 * mib}, // the end of the log is kept in memory
	} {
		t.Run(c.name, func(t *testing.T) {
			count := idleCount(t)
			b := start(t)
			before := settles(t, b, afterStart)
			if before > afterStart {
				t.Errorf("%d KiB are resident after start; the goal is %d", before/kib, afterStart/kib)
			}
			conns := idlers(t, b.TCP, count, c.keep, c.talk)
			after := settles(t, b, before+c.once+int64(count)*perIdle)
			each := (after - before) / int64(count)
			t.Logf("%d KiB after start, %d KiB with %d idle connections: %d bytes each", before/kib, after/kib, count, each)
			if most := c.once + int64(count)*perIdle; after-before > most {
				t.Errorf("%d idle connections cost %d KiB; the goal is %d", count, (after-before)/kib, most/kib)
			}
			for _, c := range []*wire.Conn{conns[0], conns[count/2], conns[count-1]} {
				if err := ping(c); err != nil {
					t.Errorf("a connection that was idle: %v", err)
				}
			}
		})
	}
}

// idleCount is how many connections to make; both ends have one descriptor for each.
func idleCount(t *testing.T) int {
	t.Helper()
	count := idleMost
	if said := os.Getenv(idleEnv); said != "" {
		n, err := strconv.Atoi(said)
		if err != nil || n < 1 {
			t.Fatalf("%s is %q, want a number above 0", idleEnv, said)
		}
		count = n
	}
	const others = 200
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < uint64(count+others) {
		t.Fatalf("%d connections need as many descriptors in a process and %d are allowed: raise the limit (ulimit -Hn), or set %s to a lower number",
			count, limit.Cur, idleEnv)
	}
	return count
}

// idlers connects clients, several at a time, each with a subscription to a topic of its own.
func idlers(t *testing.T, addr string, count int, keeps bool, talk int) []*wire.Conn {
	t.Helper()
	conns := make([]*wire.Conn, count)
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	var connecting errgroup.Group
	connecting.SetLimit(16)
	for i := range conns {
		connecting.Go(func() (err error) {
			p := hello(mqtt.V5, fmt.Sprintf("idle%d", i))
			if keeps {
				keep(p)
			}
			if conns[i], err = open(addr, p); err != nil {
				return err
			}
			topic := "idle/" + string(p.ClientID)
			if err := subscribeTo(conns[i], topic, 1); err != nil {
				return err
			}
			for range talk {
				if err := echo(conns[i], topic); err != nil {
					return fmt.Errorf("%s: %w", topic, err)
				}
			}
			return nil
		})
	}
	if err := connecting.Wait(); err != nil {
		t.Fatal(err)
	}
	return conns
}

// echo publishes with QoS 1 what c itself is subscribed to, and takes it.
func echo(c *wire.Conn, topic string) error {
	if err := c.Send(&mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte(topic), Payload: make([]byte, 100)}); err != nil {
		return err
	}
	for range 2 { // PUBACK and PUBLISH, in either order
		p, err := c.Read(patience)
		if err != nil {
			return err
		}
		if m, ok := p.(*mqtt.Publish); ok {
			if err := c.Send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID}); err != nil {
				return err
			}
		}
	}
	return nil
}
