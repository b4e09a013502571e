package remoting

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

// echo answers sends as fast as a peer in Go can: it reads frames, and answers those of one read in one write.
func echo(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		r := newFrameReader(nc, 1<<24, 64<<10)
		answer := remotingtest.Encode(&remotingtest.Request{
			Flag:   1,
			Fields: map[string]string{"msgId": "7F00000100002A9F0000000000000000", "queueId": "3", "queueOffset": "123456", "TRACE_ON": "true", "MSG_REGION": "DefaultRegion"},
		})
		var out []byte
		for {
			h, _, err := r.next()
			if err != nil {
				return
			}
			at := len(out) + frameHead + 5
			out = append(out, answer...)
			out[at], out[at+1], out[at+2], out[at+3] = byte(h.opaque>>24), byte(h.opaque>>16), byte(h.opaque>>8), byte(h.opaque)
			if r.r.Buffered() < frameHead {
				if _, err := nc.Write(out); err != nil {
					return
				}
				out = out[:0]
			}
		}
	})
	b.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// BenchmarkSend sends with so many in flight. The peer, which decodes and answers, is in the same process and counted.
func BenchmarkSend(b *testing.B) {
	for _, bench := range []struct {
		name     string
		inFlight int
		size     int
		cred     Credentials
	}{
		{"1x256B", 1, 256, Credentials{}},
		{"16x256B", 16, 256, Credentials{}},
		{"256x256B", 256, 256, Credentials{}},
		{"256x256B-signed", 256, 256, Credentials{AccessKey: "ak", SecretKey: "sk"}},
		{"64x16KiB", 64, 16 << 10, Credentials{}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			addr := echo(b)
			c, err := New(Options{Credentials: bench.cred})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			r := &SendRequest{
				Topic: "T", Born: time.Now(), Body: make([]byte, bench.size),
				Properties: "UNIQ_KEY\x017F000001000000000000000000000001\x02INNER_MULTI_DISPATCH\x01%LMQ%T/a\x02",
			}
			room := make(chan struct{}, bench.inFlight)
			done := func(_ SendResult, err error) {
				if err != nil {
					b.Error(err)
				}
				<-room
			}
			deadline := time.Now().Add(time.Hour)
			b.ReportAllocs()
			b.SetBytes(int64(bench.size))
			for b.Loop() {
				room <- struct{}{}
				c.Send(addr, r, deadline, done)
			}
			for range bench.inFlight {
				room <- struct{}{}
			}
		})
	}
}
