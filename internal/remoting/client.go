package remoting

// Link is one of the two connections to an address.
type Link uint8

// The links. Everything but pulls goes over LinkSend.
const (
	LinkSend Link = iota
	LinkPull
	links
)

// Client talks to name servers and brokers. All methods may be called by any goroutine.
type Client struct {
	opts Options
}

// New makes a client. It dials nothing.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Client{opts: o.withDefaults()}, nil
}

// Close ends all connections and waits for their goroutines. What is pending fails with ErrClosed beside ErrNotSent or ErrUnknown. It
// must not be called from a callback.
func (c *Client) Close() {}

// Generation numbers the connections to an address over a link: 0 before the first, one more each time that one is begun. Whoever keeps
// a position in a broker's log compares it again when the generation has changed: logs go back when a broker restarts.
func (c *Client) Generation(addr string, link Link) uint64 { return 0 }
