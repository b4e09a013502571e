package config

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// ErrInvalid is what every error of Load wraps that stands for a mistake in the configuration.
var ErrInvalid = errors.New("configuration refused")

// Config is a checked configuration: each field holds what is in effect, defaults that depend on other keys included.
// It is not changed after Load. keys.go says what each field means and which key sets it.
type Config struct {
	// Where clients connect. A listener that is not wanted is Off, TLS ones without enableTlsSever included.
	BindAddress string // IP address, or "*" for all interfaces
	MQTTPort    Port
	TLSPort     Port
	WSPort      Port
	WSSPort     Port

	// Where metrics and health are. ExporterPort is Off when they are not wanted.
	Exporter        bool
	ExporterAddress string // IP address, or "*" for all interfaces
	ExporterPort    Port

	// TLS. Paths are absolute or relative to the working directory.
	TLS           bool
	TLSCert       string // PEM, the chain
	TLSKey        string // PEM, not encrypted
	TLSClientCA   string // PEM; empty: client certificates are not asked for
	TLSClientAuth bool   // a client certificate is demanded, not only verified when there is one

	// Connections.
	MaxConnections int
	ConnectTimeout time.Duration // until a CONNECT is complete
	MaxPacket      int           // bytes of a packet that a client may send
	HighWater      int           // bytes waiting for one connection, above which it is sent no PUBLISH
	LowWater       int           // bytes at which it is sent PUBLISH again
	StopTimeout    time.Duration // for a graceful stop

	// What one client may use.
	MaxKeepAlive     time.Duration // 0: no limit
	MaxSessionExpiry time.Duration // Never: no limit
	ReceiveMaximum   int           // QoS 1 and 2 messages under way from a client
	SendWindow       int           // QoS 1 and 2 messages under way to a client
	TopicAliases     int
	MaxSubscriptions int
	MaxSessions      int // that outlive their connection

	// Who may connect.
	Username       string
	SecretKey      string
	AllowAnonymous bool
	LoopbackOnly   bool // anonymous clients are allowed from this machine only: nobody said allowAnonymous=true

	// Messages.
	Store          string // StoreEmbedded or StoreRocketMQ
	DataDir        string
	SyncFlush      bool // a message is acknowledged after fsync
	SegmentSize    int64
	RetentionTime  time.Duration // Never: no limit
	RetentionBytes int64         // 0: no limit
	DiskReserve    int64         // free bytes below which publishes are refused

	// RocketMQ behind, with StoreRocketMQ.
	NamesrvAddr           []string // host:port
	RocketMQAccessKey     string   // empty: requests are not signed
	RocketMQSecretKey     string
	RocketMQSecurityToken string
	RocketMQTLS           bool
	RocketMQCA            string   // PEM; empty: the system's authorities
	StaticFirstTopics     []string // first levels, no duplicates
	DefaultTopic          string   // of first levels that have no topic of their own; empty: they are refused
	MaxFirstTopics        int
	TopicQueues           int // of a topic that is created, per broker
	QueueFailover         time.Duration
	RequireSendOK         bool
	MaxPendingBytes       int64
	MaxRecentBytes        int64
	MaxIndexBytes         int64  // 0: there is no index
	RetryTopic            string // of RocketMQ; "": none
	LMQDispatch           string // LMQAuto, LMQAlways or LMQNever
	MaxLMQs               int    // light queues that clients can have this node write to

	P2P              bool   // clients get what is published to p2p topics of theirs without SUBSCRIBE
	LocalAddress     string // label of this node
	ClientEventTopic string // first level of messages about clients; empty: there are none

	// Retained messages and wills.
	MetaModule       bool
	RetainFor        time.Duration // Never: no limit
	MaxRetained      int           // topics below one first level
	MaxRetainedBytes int64

	LogLevel  slog.Level
	LogFormat string // LogText or LogJSON
}

// Values of Config.Store and Config.LogFormat.
const (
	StoreEmbedded = "embedded"
	StoreRocketMQ = "rocketmq"
	LMQAuto       = "auto"
	LMQAlways     = "always"
	LMQNever      = "never"
	LogText       = "text"
	LogJSON       = "json"
)

// Never stands for a duration without end.
const Never = time.Duration(1<<63 - 1)

// Port is a TCP port. 0 means any free one, Off none.
type Port int

// Off is the port of a listener that is not wanted.
const Off Port = -1

// String returns the port as it is written in a conf file.
func (p Port) String() string {
	if p == Off {
		return "off"
	}
	return strconv.Itoa(int(p))
}

// Authenticated reports whether clients can log in with a name and a signature.
func (c *Config) Authenticated() bool { return c.Username != "" && c.SecretKey != "" }

// LocalIP is localAddress when it is an IP address; else it is not valid.
func (c *Config) LocalIP() netip.Addr {
	a, err := netip.ParseAddr(c.LocalAddress)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// Listen returns the address to listen on for p, in the form that net.Listen takes. p must not be Off.
func (c *Config) Listen(p Port) string { return listen(c.BindAddress, p) }

// ListenExporter is Listen for metrics and health; empty when they are not wanted.
func (c *Config) ListenExporter() string {
	if !c.Exporter || c.ExporterPort == Off {
		return ""
	}
	return listen(c.ExporterAddress, c.ExporterPort)
}

func listen(host string, p Port) string {
	if host == allInterfaces {
		host = ""
	}
	return net.JoinHostPort(host, strconv.Itoa(int(p)))
}

const (
	allInterfaces = "*"
	loopback      = "127.0.0.1"
)

// onLoopback reports whether address, a valid bindAddress, can be reached from this machine only.
func onLoopback(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Unmap().IsLoopback()
}
