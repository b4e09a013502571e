package remoting

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Link is one of the two connections to an address.
type Link uint8

// The links. Everything but pulls goes over LinkSend.
const (
	LinkSend Link = iota
	LinkPull
)

// maxPeers is how many addresses, twice for their links, a client remembers. They come from routes and name servers, so the limit is there for
// what goes wrong.
const maxPeers = 8192

// Client talks to name servers and brokers. All methods may be called by any goroutine.
type Client struct {
	opts    Options
	signer  *signer // nil: requests are not signed
	stats   stats
	namesrv atomic.Uint32 // index of the name server that answered last

	wg sync.WaitGroup // of all connections' goroutines

	mu     sync.Mutex
	closed bool
	peers  map[peerKey]*peer
}

type peerKey struct {
	addr string
	link Link
}

// peer is what is remembered of an address and link between connections.
type peer struct {
	conn     *conn // nil: none
	gen      uint64
	failures int       // connections in a row that never brought a frame
	retryAt  time.Time // no dial before
	cause    error     // why the last connection was lost
}

// New makes a client. It dials nothing.
func New(o Options) (*Client, error) {
	o = o.withDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := &Client{opts: o, peers: make(map[peerKey]*peer)}
	if o.Credentials.AccessKey != "" {
		c.signer = newSigner(o.Credentials)
	}
	return c, nil
}

// Close ends all connections and waits for their goroutines. What is pending fails with ErrClosed beside ErrNotSent or ErrUnknown. It
// must not be called from a callback. Closing again waits too.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	var conns []*conn
	for _, p := range c.peers {
		if p.conn != nil {
			conns = append(conns, p.conn)
		}
	}
	c.mu.Unlock()
	for _, cn := range conns {
		cn.fail(ErrClosed)
	}
	c.wg.Wait()
}

// Generation numbers the connections to an address over a link: 0 before the first, one more each time that one is begun. Whoever keeps
// a position in a broker's log compares it again when the generation has changed: logs go back when a broker restarts.
func (c *Client) Generation(addr string, link Link) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peers[peerKey{addr, link}]; p != nil {
		return p.gen
	}
	return 0
}

// submit queues a request, or fails p on this goroutine. What it returns is for conn.drop; nil, when p has failed.
func (c *Client) submit(addr string, link Link, cmd *command, p *pending) (*conn, int32) {
	p.asked = time.Now()
	if !p.deadline.After(p.asked) {
		p.fail(notSent(addr, context.DeadlineExceeded))
		return nil, 0
	}
	if c.signer != nil {
		c.signer.sign(cmd)
	}
	for {
		cn, err := c.conn(addr, link)
		if err == nil {
			var opaque int32
			if opaque, err = cn.do(cmd, p); err == nil {
				return cn, opaque
			}
			if err == errDead { //nolint:errorlint // do returns it as it is
				c.forget(cn, cn.cause()) // whoever failed it is about to
				continue
			}
			c.stats.refused.Add(1)
		}
		p.fail(notSent(addr, err))
		return nil, 0
	}
}

// conn is the connection to an address; it is begun, when there is none.
func (c *Client) conn(addr string, link Link) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	key := peerKey{addr, link}
	p := c.peers[key]
	switch {
	case p == nil && len(c.peers) >= maxPeers:
		return nil, fmt.Errorf("%w: %d addresses", ErrFull, len(c.peers))
	case p == nil:
		p = new(peer)
		c.peers[key] = p
	case p.conn != nil:
		return p.conn, nil
	case time.Now().Before(p.retryAt):
		return nil, fmt.Errorf("no new attempt yet, the last failed: %w", p.cause)
	}
	p.gen++
	p.conn = c.begin(key, p.gen)
	return p.conn, nil
}

// begin makes a connection and its goroutines. mu held.
func (c *Client) begin(key peerKey, gen uint64) *conn {
	ctx, cancel := context.WithCancel(context.Background())
	cn := &conn{
		addr: key.addr, link: key.link, gen: gen, opts: &c.opts, stats: &c.stats, lost: c.forget,
		ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), tick: make(chan struct{}, 1),
		pending: make(map[int32]pending),
	}
	c.wg.Go(func() { cn.run(&c.wg) })
	c.wg.Go(cn.keepTime)
	return cn
}

// forget takes a lost connection out of the table, once. The next may be dialled at once, if this one had been of use.
func (c *Client) forget(cn *conn, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[peerKey{cn.addr, cn.link}]
	if p.conn != cn {
		return
	}
	p.conn, p.cause = nil, cause
	c.stats.lost.Add(1)
	if cn.heard.Load() != 0 {
		p.failures, p.retryAt = 0, time.Time{}
		return
	}
	wait := min(c.opts.BackoffMin<<min(p.failures, 16), c.opts.BackoffMax)
	p.failures++
	// From half of it to all of it, so that many clients do not come back together.
	p.retryAt = time.Now().Add(wait/2 + rand.N(wait/2+1))
}
