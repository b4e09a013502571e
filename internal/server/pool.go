package server

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	minChunk = 512       // bytes of the smallest class of pooled memory
	maxChunk = 256 << 10 // bytes of the largest; what is larger is left to the garbage collector
	classes  = 10        // minChunk<<i, up to maxChunk

	notPooled = -1 // class of a chunk that is larger than maxChunk
	reference = -2 // class of a chunk whose memory belongs to somebody else
)

// chunk is a piece of memory, or a reference to a payload. mem[r:w] is what it holds.
type chunk struct {
	next  *chunk // in a queue
	mem   []byte
	r, w  int
	class int
}

// free is the room behind what c holds.
func (c *chunk) free() []byte {
	if c.class == reference {
		return nil
	}
	return c.mem[c.w:]
}

// pool lends chunks and knows how many bytes it has lent. It keeps returned ones until the garbage collector has
// run twice, as sync.Pool does.
type pool struct {
	held    atomic.Int64 // bytes lent or referenced
	classes [classes]sync.Pool
	refs    sync.Pool // chunks without memory
}

// get lends an empty chunk of at least n bytes, and less than twice n, or minChunk.
func (p *pool) get(n int) *chunk {
	class := max(0, bits.Len(uint(n-1))-bits.Len(minChunk-1))
	if class >= classes {
		p.held.Add(int64(n))
		return &chunk{mem: make([]byte, n), class: notPooled}
	}
	p.held.Add(minChunk << class)
	if c, ok := p.classes[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{mem: make([]byte, minChunk<<class), class: class}
}

// ref returns a chunk that holds b itself.
func (p *pool) ref(b []byte) *chunk {
	p.held.Add(int64(len(b)))
	c, ok := p.refs.Get().(*chunk)
	if !ok {
		c = &chunk{class: reference}
	}
	c.mem, c.w = b, len(b)
	return c
}

// put takes c back. Nobody may use it or its memory afterwards.
func (p *pool) put(c *chunk) {
	p.held.Add(-int64(len(c.mem)))
	c.next, c.r, c.w = nil, 0, 0
	switch c.class {
	case notPooled:
	case reference:
		c.mem = nil
		p.refs.Put(c)
	default:
		p.classes[c.class].Put(c)
	}
}
