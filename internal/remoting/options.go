package remoting

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// Options says how a [Client] works. The zero value of each field but Namesrv is a good one.
type Options struct {
	Namesrv []string // host:port of every name server; names are resolved anew by each dial; none: only requests to brokers work

	TLS         *tls.Config // nil: plain TCP. RocketMQ takes both on the same port. Without ServerName the host of the address is verified
	Credentials Credentials // zero: requests are not signed

	MaxFrame   int // bytes of an answer, and of a request, without the 4 of the length; default 16 MiB + 64 KiB
	MaxPending int // requests without an answer, per connection; default 4096. Long polls count on LinkPull
	MaxQueued  int // bytes not written yet, per connection; default 32 MiB

	DialTimeout    time.Duration // of TCP and TLS together; default 3 s
	RequestTimeout time.Duration // of blocking calls whose context has no earlier deadline, and of one try at a name server; default 3 s
	WriteTimeout   time.Duration // a connection that takes nothing for so long is lost; default 10 s
	BackoffMin     time.Duration // wait after the first failed dial, doubled by each further one; calls in that time fail at once; default 100 ms
	BackoffMax     time.Duration // default 5 s
}

// Credentials are what requests are signed with. They are sent to name servers too.
type Credentials struct {
	AccessKey     string
	SecretKey     string
	SecurityToken string // optional
}

const (
	defaultMaxFrame = 16<<20 + 64<<10
	maxMaxFrame     = 1 << 30 // far below what an int32 holds
)

// Validate says what is wrong, naming key and value. New calls it with the defaults filled in.
func (o Options) Validate() error {
	for _, a := range o.Namesrv {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("remoting: Namesrv %q: want host:port: %w", a, err)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxFrame", o.MaxFrame}, {"MaxPending", o.MaxPending}, {"MaxQueued", o.MaxQueued}} {
		if n.value < 0 || n.value > maxMaxFrame {
			return fmt.Errorf("remoting: %s %d: want 0 (default) to %d", n.name, n.value, maxMaxFrame)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", o.DialTimeout},
		{"RequestTimeout", o.RequestTimeout},
		{"WriteTimeout", o.WriteTimeout},
		{"BackoffMin", o.BackoffMin},
		{"BackoffMax", o.BackoffMax},
	} {
		if d.value < 0 {
			return fmt.Errorf("remoting: %s %s: want 0 (default) or more", d.name, d.value)
		}
	}
	if o.MaxQueued < o.MaxFrame {
		return fmt.Errorf("remoting: MaxQueued %d: want at least MaxFrame, which is %d", o.MaxQueued, o.MaxFrame)
	}
	if o.BackoffMin > o.BackoffMax || o.BackoffMax > time.Hour {
		return fmt.Errorf("remoting: BackoffMin %s, BackoffMax %s: want the first below the second, and that at most an hour", o.BackoffMin, o.BackoffMax)
	}
	if (o.Credentials.AccessKey == "") != (o.Credentials.SecretKey == "") {
		return fmt.Errorf("remoting: Credentials of access key %q: want both an access key and a secret key", o.Credentials.AccessKey)
	}
	return nil
}

// withDefaults fills what is zero.
func (o Options) withDefaults() Options {
	set(&o.MaxFrame, defaultMaxFrame)
	set(&o.MaxPending, 4096)
	set(&o.MaxQueued, 32<<20)
	set(&o.DialTimeout, 3*time.Second)
	set(&o.RequestTimeout, 3*time.Second)
	set(&o.WriteTimeout, 10*time.Second)
	set(&o.BackoffMin, 100*time.Millisecond)
	set(&o.BackoffMax, 5*time.Second)
	return o
}

func set[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
