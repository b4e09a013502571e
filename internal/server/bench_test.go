package server

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// drain reads and forgets what comes.
func drain(c net.Conn) {
	b := make([]byte, 256<<10)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// waitRoom is what a publisher does for a client that is full, in a benchmark.
func waitRoom(r *recorder) {
	if r.conn.Full() {
		<-r.room
	}
}

func waitable(r *recorder) { r.room = make(chan struct{}, 1) }

// reportCPU adds the processor time of the whole process, the client's ends included, which other load on the machine changes less than the
// time that passes.
func reportCPU(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// One client, messages as fast as it takes them: the cost of Full and SendPublish on the sender's goroutine, with writing on others.
func BenchmarkSendPublish(b *testing.B) {
	for _, size := range []int{16, 128, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := start(b, Options{}, waitable)
			c, r := h.connect()
			go drain(c)
			payload := make([]byte, size)
			header := frame(mqtt.PUBLISH, 0, make([]byte, size+20))[:24]
			b.SetBytes(int64(size))
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				waitRoom(r)
				r.conn.SendPublish(header, payload)
			}
		})
	}
}

// One message to many clients, again and again: per delivery, on the sender's goroutine, until all is written.
func BenchmarkFanOut(b *testing.B) {
	const size = 100
	for _, clients := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			h := start(b, Options{}, waitable)
			var rs []*recorder
			for range clients {
				c, r := h.connect()
				go drain(c)
				rs = append(rs, r)
			}
			payload := make([]byte, size)
			header := frame(mqtt.PUBLISH, 0, make([]byte, size+20))[:24]
			b.ReportAllocs()
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				r := rs[i%clients]
				waitRoom(r)
				r.conn.SendPublish(header, payload)
			}
		})
	}
}

// A request and its answer, on as many connections as there are processors.
func BenchmarkPing(b *testing.B) {
	h := start(b, Options{}, func(r *recorder) { r.only.Store(true) })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", h.addr[TCP])
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		_, _ = c.Write(connect)
		answer := make([]byte, 4)
		_, _ = io.ReadFull(c, answer)
		for pb.Next() {
			_, _ = c.Write(pingreq)
			if _, err := io.ReadFull(c, answer[:2]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A publisher that sends as fast as it can: small packets, read in bursts.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{16, 128, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := start(b, Options{}, nil)
			c, r := h.connect()
			p := frame(mqtt.PUBLISH, 0, make([]byte, size))
			burst := make([]byte, 0, 64<<10+len(p))
			for len(burst) < 64<<10 {
				burst = append(burst, p...)
			}
			per := len(burst) / len(p)
			r.only.Store(true)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += per {
				send(b, c, burst)
			}
			send(b, c, disconnect)
			r.waitClosed()
		})
	}
}
