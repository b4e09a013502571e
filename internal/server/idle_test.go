package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

const (
	idleAddr  = "ROCKETMQTT_TEST_IDLE_ADDR" // set in the process that has the client's ends
	idleCount = "ROCKETMQTT_TEST_IDLE_COUNT"
)

// idleClients connects, says so, and holds the connections until its input ends.
func idleClients(addr, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var answer [4]byte
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write(connect); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, answer[:]); err != nil {
			return err
		}
	}
	fmt.Println("connected")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// resident is this process's resident memory in bytes.
func resident(t testing.TB) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// deep needs a stack of more than kib KiB.
func deep(kib int) byte {
	var frame [1 << 10]byte
	if kib > 0 {
		frame[kib%len(frame)] = deep(kib - 1)
	}
	return frame[0]
}

// The stack that CONNECT was handled on is not kept, also while the connection is not yet idle.
func TestStackOfConnect(t *testing.T) {
	const (
		count = 200
		stack = 100 // KiB
	)
	h := start(t, Options{idle: time.Hour}, func(r *recorder) {
		r.packet = func(r *recorder, hd mqtt.Header, _ []byte) bool {
			deep(stack)
			return r.answer(hd)
		}
	})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.StackInuse
	for range count {
		h.connect()
	}
	runtime.ReadMemStats(&m)
	if each := int64(m.StackInuse-before) / count; each > stack<<10/4 {
		t.Errorf("a connection has %d bytes of stack after a CONNECT that needed more than %d KiB", each, stack)
	}
}

// What an idle connection costs in resident memory: the server's part, and a recorder of about 500 bytes. The client's ends are in another process.
func BenchmarkIdleConnections(b *testing.B) {
	const count = 15_000
	h := start(b, Options{MaxConn: count}, nil)
	runtime.GC()
	before := resident(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), idleAddr+"="+h.addr[TCP], idleCount+"="+strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("connected"))); err != nil {
		b.Fatal(err)
	}
	eventually(b, "every connection is parked", func() bool { return parked(h) == count })
	for b.Loop() {
		b.ReportMetric(float64(resident(b)-before)/count, "B/conn")
	}
	debug.FreeOSMemory()
	b.ReportMetric(float64(resident(b)-before)/count, "B/conn-least")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.StackInuse)/count, "stack/conn")
	b.ReportMetric(float64(m.HeapAlloc)/count, "heap/conn")
	b.ReportMetric(float64(m.OtherSys+m.GCSys+m.BuckHashSys+m.MSpanSys+m.MCacheSys)/count, "rt/conn")
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		b.Error(err)
	}
}
