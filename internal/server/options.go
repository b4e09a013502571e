package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
)

// Options configure a Server. Handler is demanded; a zero value of anything else stands for the default in brackets.
type Options struct {
	Handler Handler
	Log     *slog.Logger // [slog.Default()]

	// MaxConn bounds the connections that are served at once [100,000, or what the limit of open files leaves]. Of those beyond it, Courtesy [64] at a time have their
	// CONNECT read and answered with "server busy" (3.1.1: "server unavailable"); the others are closed at once.
	MaxConn  int
	Courtesy int

	ConnectTimeout time.Duration // from accept until CONNECT was accepted, handshakes included [10 s]
	PacketTimeout  time.Duration // without a byte while a packet is incomplete; then the connection is closed [1 min]
	WriteTimeout   time.Duration // without any progress in writing what is queued; then it is closed [30 s]
	CloseTimeout   time.Duration // for writing what is queued once Close was called [2 s]
	Linger         time.Duration // for the client to read the last packets and close, after that [1 s]
	FlushTimeout   time.Duration // for all connections together, in Shutdown [5 s]

	// HighWater is how many bytes may wait for a client before Conn.Full reports true [256 KiB], LowWater where
	// Client.Drained is called [64 KiB]. HardCap bounds what is queued beyond HighWater all the same, since
	// acknowledgements are [1 MiB]: at a sixteenth of it nothing more is read from the client, above it the connection
	// is closed.
	HighWater int
	LowWater  int
	HardCap   int
	// MaxQueued is how many bytes may be queued for all clients together [256 MiB]. Above it Full reports true for every
	// connection that has more than 4 KiB queued.
	MaxQueued int64
	// MaxPartial is how many bytes of packets may be held that have not arrived whole, or are being handled [256 MiB].
	// A packet beyond 64 KiB that would have to grow above it is refused with code 0x97.
	MaxPartial int64

	// Pulse is waited for before what was read is handled, and before what is queued is written [it is always open].
	Pulse *pulse.Pulse

	// Stopping is the second step of Shutdown: tell the clients and close their connections [nothing]. ctx is Shutdown's.
	Stopping func(ctx context.Context)

	tick     time.Duration // how often connections are looked at [a tenth of the shortest timeout, 10 ms to 500 ms]
	idle     time.Duration // when a connection on which nothing comes is parked [1 s]
	blocking bool          // use the portable way of reading and writing, which other systems than Linux have
	flushers int           // goroutines that write [GOMAXPROCS]
}

// Validate reports the first value that makes no sense, by its name.
func (o *Options) Validate() error {
	if o.Handler == nil {
		return fmt.Errorf("server: Handler is not set")
	}
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"MaxConn", int64(o.MaxConn)},
		{"Courtesy", int64(o.Courtesy)},
		{"ConnectTimeout", int64(o.ConnectTimeout)},
		{"PacketTimeout", int64(o.PacketTimeout)},
		{"WriteTimeout", int64(o.WriteTimeout)},
		{"CloseTimeout", int64(o.CloseTimeout)},
		{"Linger", int64(o.Linger)},
		{"FlushTimeout", int64(o.FlushTimeout)},
		{"HighWater", int64(o.HighWater)},
		{"LowWater", int64(o.LowWater)},
		{"HardCap", int64(o.HardCap)},
		{"MaxQueued", o.MaxQueued},
		{"MaxPartial", o.MaxPartial},
	} {
		if v.value < 0 {
			return fmt.Errorf("server: %s is %d; it must not be negative", v.name, v.value)
		}
	}
	if d := o.withDefaults(); d.LowWater >= d.HighWater {
		return fmt.Errorf("server: LowWater is %d; it must be below HighWater, %d", d.LowWater, d.HighWater)
	}
	return nil
}

func (o *Options) withDefaults() Options {
	d := *o
	if d.Log == nil {
		d.Log = slog.Default()
	}
	orInt(&d.MaxConn, 100_000)
	orInt(&d.Courtesy, 64)
	orInt(&d.ConnectTimeout, 10*time.Second)
	orInt(&d.PacketTimeout, time.Minute)
	orInt(&d.WriteTimeout, 30*time.Second)
	orInt(&d.CloseTimeout, 2*time.Second)
	orInt(&d.Linger, time.Second)
	orInt(&d.FlushTimeout, 5*time.Second)
	orInt(&d.HighWater, 256<<10)
	orInt(&d.LowWater, d.HighWater/4)
	orInt(&d.HardCap, 1<<20)
	orInt(&d.MaxQueued, 256<<20)
	orInt(&d.MaxPartial, 256<<20)
	if d.Stopping == nil {
		d.Stopping = func(context.Context) {}
	}
	shortest := min(d.ConnectTimeout, d.PacketTimeout, d.WriteTimeout, d.CloseTimeout)
	orInt(&d.tick, min(max(shortest/10, 10*time.Millisecond), 500*time.Millisecond))
	orInt(&d.idle, time.Second)
	orInt(&d.flushers, runtime.GOMAXPROCS(0))
	return d
}

func orInt[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
