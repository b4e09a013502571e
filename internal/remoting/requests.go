package remoting

import (
	"context"
	"errors"
	"time"
)

var errTODO = errors.New("not written yet")

// Route says where a topic is (class TopicRouteData).
type Route struct {
	Brokers []Broker
	Queues  []QueueData // one entry per broker name
}

// Broker is one broker name: a master and its slaves.
type Broker struct {
	Cluster string
	Name    string
	Addrs   map[int64]string // by broker id; 0 is the master, absent while there is none
}

// QueueData says what a broker has of a topic.
type QueueData struct {
	Broker      string
	ReadQueues  int32
	WriteQueues int32
	Perm        int32 // PermRead | PermWrite
}

// Bits of QueueData.Perm and TopicConfig.Perm (class PermName).
const (
	PermWrite int32 = 1 << 1
	PermRead  int32 = 1 << 2
)

// Master is the address of a broker's master.
func (r Route) Master(broker string) (addr string, ok bool) {
	for _, b := range r.Brokers {
		if b.Name == broker {
			addr, ok = b.Addrs[0]
			return addr, ok
		}
	}
	return "", false
}

// ClusterInfo is all brokers that a name server knows.
type ClusterInfo struct {
	Brokers  map[string]Broker   // by broker name
	Clusters map[string][]string // broker names by cluster name
}

// TopicConfig is a broker's config of a topic.
type TopicConfig struct {
	Topic       string
	ReadQueues  int32
	WriteQueues int32
	Perm        int32
}

// Route asks the name servers where a topic is: ErrTopicNotExist, when it has no route.
func (c *Client) Route(ctx context.Context, topic string) (Route, error) { return Route{}, errTODO }

// ClusterInfo asks the name servers for all brokers.
func (c *Client) ClusterInfo(ctx context.Context) (ClusterInfo, error) { return ClusterInfo{}, errTODO }

// MaxOffset is one above the offset of the last message of a queue; 0 also when the broker has no such queue or topic.
func (c *Client) MaxOffset(ctx context.Context, addr, topic string, queueID int32) (int64, error) {
	return 0, errTODO
}

// MinOffset is the offset of the first message that a queue still has.
func (c *Client) MinOffset(ctx context.Context, addr, topic string, queueID int32) (int64, error) {
	return 0, errTODO
}

// SearchOffset is the offset of the first message that was stored at t or later; after the last: see the broker's version.
func (c *Client) SearchOffset(ctx context.Context, addr, topic string, queueID int32, t time.Time) (int64, error) {
	return 0, errTODO
}

// ConsumerOffset is what UpdateConsumerOffset stored: ErrNoOffset, when nothing was. Brokers of 4.9 may answer 0 instead.
func (c *Client) ConsumerOffset(ctx context.Context, addr, group, topic string, queueID int32) (int64, error) {
	return 0, errTODO
}

// UpdateConsumerOffset stores a group's offset of a queue.
func (c *Client) UpdateConsumerOffset(ctx context.Context, addr, group, topic string, queueID int32, offset int64) error {
	return errTODO
}

// CreateTopic creates a topic on a broker, or CHANGES it when it is there: fewer queues make messages unreadable. Ask TopicConfig first.
func (c *Client) CreateTopic(ctx context.Context, addr string, t TopicConfig) error { return errTODO }

// TopicConfig is the broker's config of a topic: ErrNotFound, when it has none.
func (c *Client) TopicConfig(ctx context.Context, addr, topic string) (TopicConfig, error) {
	return TopicConfig{}, errTODO
}

// TopicConfigs is the broker's configs of all topics, system topics included, by name.
func (c *Client) TopicConfigs(ctx context.Context, addr string) (map[string]TopicConfig, error) {
	return nil, errTODO
}

// DeleteTopic deletes a topic from a broker. Its route stays until DeleteTopicRoute.
func (c *Client) DeleteTopic(ctx context.Context, addr, topic string) error { return errTODO }

// DeleteTopicRoute deletes a topic from every name server.
func (c *Client) DeleteTopicRoute(ctx context.Context, topic string) error { return errTODO }

// KV reads a key of the name servers: ErrNotFound, when it is not there.
func (c *Client) KV(ctx context.Context, namespace, key string) (string, error) { return "", errTODO }

// PutKV writes a key to every name server. They do not tell each other.
func (c *Client) PutKV(ctx context.Context, namespace, key, value string) error { return errTODO }

// DeleteKV deletes a key from every name server.
func (c *Client) DeleteKV(ctx context.Context, namespace, key string) error { return errTODO }

// ListKV is all keys of a namespace: ErrNotFound, when there is no such namespace.
func (c *Client) ListKV(ctx context.Context, namespace string) (map[string]string, error) {
	return nil, errTODO
}

// BrokerConfig is the broker's configuration.
func (c *Client) BrokerConfig(ctx context.Context, addr string) (map[string]string, error) {
	return nil, errTODO
}

// BrokerRuntime is what the broker says of its state: brokerVersionDesc, bootTimestamp and more.
func (c *Client) BrokerRuntime(ctx context.Context, addr string) (map[string]string, error) {
	return nil, errTODO
}

// ConsumerIDs is the client ids of a consumer group's members, as far as this broker knows. No members is a *ResponseError of code 1.
func (c *Client) ConsumerIDs(ctx context.Context, addr, group string) ([]string, error) {
	return nil, errTODO
}

// Heartbeat tells a broker that this client is there, with its groups. Brokers forget it 120 s after the last one.
func (c *Client) Heartbeat(ctx context.Context, addr string, h Heartbeat) error { return errTODO }

// Heartbeat is a client with its groups (class HeartbeatData).
type Heartbeat struct {
	ClientID      string
	ProducerGroup string // "": none
	ConsumerGroup string // "": none
	Topics        []string
}
