package e2e

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

func autopahoLibrary() library {
	return library{
		name:     "autopaho",
		versions: []mqtt.Version{mqtt.V5},

		knowsRetain: true,
		open: func(t *testing.T, b *broker.Broker) func() client {
			return func() client {
				c := &autopahoClient{addr: b.TCP, in: newInbox(), close: func() {}}
				t.Cleanup(func() { c.close() })
				return c
			}
		},
	}
}

// autopahoClient connects again for each connect: the library has no other way to stop and go on.
type autopahoClient struct {
	addr  string
	in    *inbox
	opts  connectOptions
	close context.CancelFunc

	manager *autopaho.ConnectionManager

	mu   sync.Mutex // guards conn
	conn net.Conn
}

func (c *autopahoClient) connect(o connectOptions) (connected, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c.opts, c.close = o, cancel
	first := make(chan connected, 1)
	failed := make(chan error, 1)
	again := false // the callbacks of one manager come one after the other
	cfg := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{{Scheme: "mqtt", Host: c.addr}},
		KeepAlive:                     30,
		CleanStartOnInitialConnection: !o.keep,
		SessionExpiryInterval:         o.expiry(),
		ReconnectBackoff:              autopaho.NewConstantBackoff(100 * time.Millisecond),
		AttemptConnection:             c.dial,
		OnConnectionUp: func(_ *autopaho.ConnectionManager, ack *paho.Connack) {
			got := connected{present: ack.SessionPresent}
			if ack.Properties != nil {
				got.assigned = ack.Properties.AssignedClientID
			}
			if again {
				c.in.ups.put(got)
				return
			}
			again = true
			first <- got
		},
		OnConnectError:   func(err error) { keepFirst(failed, refusal(err)) },
		OnConnectionDown: func() bool { return o.reconnect },
	}
	cfg.ClientID = o.id
	if w := o.will; w != nil {
		cfg.WillMessage = &paho.WillMessage{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain}
		cfg.WillProperties = &paho.WillProperties{WillDelayInterval: &o.willDelay}
	}
	cfg.OnPublishReceived = []func(paho.PublishReceived) (bool, error){c.received}
	cfg.OnServerDisconnect = func(d *paho.Disconnect) { c.in.downs.put(d.ReasonCode) }
	cfg.OnClientError = func(error) { c.in.downs.put(0) }
	manager, err := autopaho.NewConnection(ctx, cfg)
	if err != nil {
		return connected{}, err
	}
	c.manager = manager
	select {
	case got := <-first:
		return got, nil
	case err := <-failed:
		cancel()
		return connected{}, err
	case <-time.After(patience):
		cancel()
		return connected{}, errors.New("no CONNACK")
	}
}

// refusal is the code in err when the broker refused the connection.
func refusal(err error) error {
	if ack := (*autopaho.ConnackError)(nil); errors.As(err, &ack) {
		return refused(ack.ReasonCode)
	}
	return err
}

func keepFirst(c chan<- error, err error) {
	select {
	case c <- err:
	default:
	}
}

func (c *autopahoClient) dial(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	return conn, err
}

func (c *autopahoClient) received(r paho.PublishReceived) (bool, error) {
	p := r.Packet
	m := message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Dup: p.Duplicate(), Retain: p.Retain}
	if q := p.Properties; q != nil {
		m.Props = props{ContentType: q.ContentType, ResponseTopic: q.ResponseTopic, Correlation: q.CorrelationData}
		for _, u := range q.User {
			m.Props.User = append(m.Props.User, [2]string{u.Key, u.Value})
		}
		if q.MessageExpiry != nil {
			m.Props.Expiry = *q.MessageExpiry
		}
		if q.PayloadFormat != nil {
			m.Props.Format = *q.PayloadFormat
		}
	}
	c.in.messages.put(m)
	return true, nil
}

func (c *autopahoClient) subscribe(filter string, qos byte) (byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ack, err := c.manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}})
	if ack != nil && len(ack.Reasons) == 1 {
		return ack.Reasons[0], nil // a code that refuses is an error too
	}
	return 0, err
}

// publish waits for the acknowledgement, but of a client that connects again by itself: the library then has a queue,
// and does not tell when a message has left it.
func (c *autopahoClient) publish(m message) (byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p := &paho.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: &paho.PublishProperties{
		ContentType: m.Props.ContentType, ResponseTopic: m.Props.ResponseTopic, CorrelationData: m.Props.Correlation,
	}}
	for _, u := range m.Props.User {
		p.Properties.User = append(p.Properties.User, paho.UserProperty{Key: u[0], Value: u[1]})
	}
	if m.Props.Expiry != 0 {
		p.Properties.MessageExpiry = &m.Props.Expiry
	}
	if m.Props.Format != 0 {
		p.Properties.PayloadFormat = &m.Props.Format
	}
	if c.opts.reconnect {
		return 0, c.manager.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: p})
	}
	ack, err := c.manager.Publish(ctx, p)
	if ack != nil {
		return ack.ReasonCode, nil // a code that refuses is an error too
	}
	return 0, err
}

func (c *autopahoClient) disconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.manager.Disconnect(ctx)
}

func (c *autopahoClient) drop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.Close()
}

func (c *autopahoClient) inbox() *inbox { return c.in }
