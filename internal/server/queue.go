package server

// queue is what is to be written to one connection, in order: pooled chunks that small packets are copied into one behind the
// other, and references to large payloads. The zero value is empty and holds no memory. Its owner locks.
type queue struct {
	head, tail *chunk
	size       int // bytes
}

const (
	copyMost   = 4 << 10  // a payload up to this size is copied: cheaper than one more piece to write
	largeChunk = 32 << 10 // what a long queue grows by
)

// copyIn appends a copy of b, which may be spread over several chunks. Chunks become larger as the queue does.
func (q *queue) copyIn(p *pool, b []byte) {
	for len(b) > 0 {
		if q.tail == nil || len(q.tail.free()) == 0 {
			q.link(p.get(max(minChunk, min(q.size+len(b), largeChunk))))
		}
		n := copy(q.tail.free(), b)
		q.tail.w += n
		q.size += n
		b = b[n:]
	}
}

// reference appends b itself; nobody may change it until it was written.
func (q *queue) reference(p *pool, b []byte) {
	q.link(p.ref(b))
	q.size += len(b)
}

func (q *queue) link(c *chunk) {
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
}

// gather appends to bufs, up to its capacity and about most bytes, the pieces at the front of q. They stay valid while others append to q,
// until advance.
func (q *queue) gather(bufs [][]byte, most int) [][]byte {
	for c := q.head; c != nil && len(bufs) < cap(bufs) && most > 0; c = c.next {
		bufs = append(bufs, c.mem[c.r:c.w])
		most -= c.w - c.r
	}
	return bufs
}

// advance forgets the first n bytes, which were written, and gives chunks that are empty now back to p.
func (q *queue) advance(p *pool, n int) {
	q.size -= n
	for q.head != nil {
		c := q.head
		if held := c.w - c.r; n < held {
			c.r += n
			return
		} else {
			n -= held
		}
		q.head = c.next
		p.put(c)
	}
	q.tail = nil
}

// drop forgets everything.
func (q *queue) drop(p *pool) { q.advance(p, q.size) }
