package server

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A queue gives what was put in, in order, whatever the sizes and however much is taken at a time, and all memory back.
func TestQueue(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var p pool
		var q queue
		var want, got []byte
		for range 200 {
			b := bytes.Repeat([]byte{byte(rnd.Uint32()), byte(rnd.Uint32())}, rnd.IntN(1<<rnd.IntN(16)))
			want = append(want, b...)
			if rnd.IntN(3) == 0 && len(b) > 0 {
				q.reference(&p, b)
			} else {
				q.copyIn(&p, b)
			}
			if rnd.IntN(2) == 0 {
				bufs := q.gather(make([][]byte, 0, 1+rnd.IntN(8)), 1+rnd.IntN(100_000))
				q.copyIn(&p, nil) // appending does not disturb what was gathered
				taken := bytes.Join(bufs, nil)
				taken = taken[:rnd.IntN(len(taken)+1)]
				got = append(got, taken...)
				q.advance(&p, len(taken))
			}
			if q.size != len(want)-len(got) {
				t.Fatalf("seed %d: size is %d, want %d", seed, q.size, len(want)-len(got))
			}
		}
		rest := q.gather(make([][]byte, 0, 1000), q.size)
		if got = append(got, bytes.Join(rest, nil)...); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: other bytes came out", seed)
		}
		q.drop(&p)
		if held := p.held.Load(); held != 0 || q != (queue{}) {
			t.Fatalf("seed %d: %d bytes are held, the queue is %+v", seed, held, q)
		}
	}
}

// A chunk is at least as large as asked for, and less than twice that.
func TestPoolSizes(t *testing.T) {
	var p pool
	for _, n := range []int{1, 511, 512, 513, 1024, 1025, 2048, maxChunk - 1, maxChunk, maxChunk + 1, 1 << 20} {
		for range 2 { // new, and returned
			c := p.get(n)
			if got := len(c.mem); got < n || got > max(2*n, minChunk) || len(c.free()) != got {
				t.Errorf("get(%d) gave %d bytes, %d of them free", n, got, len(c.free()))
			}
			c.r, c.w = 1, len(c.mem)
			p.put(c)
		}
	}
	if held := p.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}
