package crash

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// link is one connection, read by a goroutine of its own so that its client can wait for something else as well.
type link struct {
	conn  *wire.Conn
	epoch int64    // of the trial, before it began
	in    chan any // what came; closed at the end of the connection
	err   error    // why it ended; to be read when in is closed

	quit, done chan struct{}
}

const (
	readAhead = 64              // packets; a client that does not take them makes the broker wait
	silence   = 5 * time.Minute // a connection on which nothing comes for so long has ended
)

func newLink(c *wire.Conn, epoch int64) *link {
	l := &link{conn: c, epoch: epoch, in: make(chan any, readAhead), quit: make(chan struct{}), done: make(chan struct{})}
	go l.read()
	return l
}

func (l *link) read() {
	defer close(l.done)
	defer close(l.in)
	for {
		packet, err := l.conn.Read(silence)
		if err != nil {
			l.err = err
			return
		}
		select {
		case l.in <- packet:
		case <-l.quit:
			return
		}
	}
}

// close ends the connection, without a word, and waits for its goroutine. To be called once.
func (l *link) close() {
	close(l.quit)
	_ = l.conn.Close() // what it could say is of no interest any more
	<-l.done
}
