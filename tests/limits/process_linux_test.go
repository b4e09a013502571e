package limits

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// openDescriptors is how many descriptors the broker has.
func openDescriptors(t testing.TB, b *broker.Broker) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// processorTime is what the broker has used.
func processorTime(t testing.TB, b *broker.Broker) time.Duration {
	t.Helper()
	const (
		utime, stime = 11, 12 // after the name, which is in parentheses: see proc(5)
		tick         = time.Second / 100
	)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.PID()))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var sum time.Duration
	for _, i := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// Connections do not take the descriptors that the store needs for its next files: without them the broker would have to stop.
func TestFewDescriptors(t *testing.T) {
	const (
		descriptors = 400
		sockets     = 600
	)
	b := broker.Start(t, broker.Options{
		NoRace: true, Descriptors: descriptors, Set: []string{"segmentSize=1MB", "maxPacketSizeInByte=64KB"},
	})
	if log := b.Log(); !strings.Contains(log, "ulimit -n") {
		t.Errorf("the log does not say that fewer can connect:\n%s", log)
	}
	first := connect(t, b.TCP, hello(mqtt.V5, ""))
	fill(t, b)
	for range sockets {
		dial(t, b.TCP)
	}
	if err := publishOver(first, "other", 1, 0, 10*mib/payloadSize); err != nil { // ten segments of the log
		t.Fatal(err)
	}
	if n := openDescriptors(t, b); n >= descriptors {
		t.Errorf("%d descriptors are open", n)
	}
}

// Without descriptors for new connections those that exist are served, the log says now and then what to change, no processor is
// kept busy, and when there is room new ones are accepted.
func TestNoDescriptors(t *testing.T) {
	const room = 20
	b := start(t)
	most := uint64(openDescriptors(t, b) + room)
	if err := unix.Prlimit(b.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		t.Fatal(err)
	}
	conns := fill(t, b)
	used := processorTime(t, b)
	const watched = 3 * time.Second
	poll(watched, func() bool {
		if err := echo(conns[0], "fill"); err != nil {
			t.Fatalf("a client that is connected: %v", err)
		}
		return false
	})
	if used = processorTime(t, b) - used; used > watched/2 {
		t.Errorf("%s of processor time in %s", used, watched)
	}
	log := b.Log()
	if !strings.Contains(log, "ulimit -n") {
		t.Errorf("the log does not say what to change:\n%s", log)
	}
	if lines := strings.Count(log, "ulimit -n"); lines > 2 {
		t.Errorf("%d lines in the log", lines)
	}
	for _, c := range conns[1:] {
		_ = c.Close()
	}
	eventually(t, "new clients are accepted again", func() bool {
		c, err := wire.Dial(b.TCP, mqtt.V5)
		if err != nil {
			return false
		}
		defer c.Close()
		if err := c.Send(hello(mqtt.V5, "")); err != nil {
			return false
		}
		_, err = c.Read(time.Second)
		return err == nil
	})
}

// fill connects clients until no more are accepted; the first one is subscribed to "fill".
func fill(t *testing.T, b *broker.Broker) []*wire.Conn {
	t.Helper()
	conns := []*wire.Conn{connect(t, b.TCP, hello(mqtt.V5, ""))}
	subscribe(t, conns[0], "fill", 1)
	for {
		c := wire.New(dial(t, b.TCP), mqtt.V5)
		send(t, c, hello(mqtt.V5, ""))
		p, err := c.Read(time.Second)
		if a, ok := p.(*mqtt.Connack); err != nil || ok && a.Code == mqtt.ServerBusy {
			_ = c.Close()
			return conns
		}
		if conns = append(conns, c); len(conns) > 1000 {
			t.Fatal("the limit of descriptors has no effect")
		}
	}
}
