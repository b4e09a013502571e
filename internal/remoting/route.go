package remoting

import (
	"context"
	"errors"
	"fmt"
)

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

// brokerJSON is class BrokerData.
type brokerJSON struct {
	Cluster string           `json:"cluster"`
	Name    string           `json:"brokerName"`
	Addrs   map[int64]string `json:"brokerAddrs"`
}

func (b brokerJSON) broker() Broker { return Broker(b) }

// Route asks the name servers where a topic is: ErrTopicNotExist, when it has no route.
func (c *Client) Route(ctx context.Context, topic string) (Route, error) {
	r, err := c.askNamesrv(ctx, func(cmd *command) {
		cmd.code = codeRoute
		cmd.str("topic", topic)
		cmd.flagged("acceptStandardJsonOnly", true)
	})
	var refused *ResponseError
	if errors.As(err, &refused) && refused.Code == CodeTopicNotExist {
		return Route{}, fmt.Errorf("topic %q: %w: %w", topic, ErrTopicNotExist, err)
	}
	if err != nil {
		return Route{}, fmt.Errorf("route of topic %q: %w", topic, err)
	}
	route, err := decodeRoute(r.body)
	if err != nil {
		return Route{}, fmt.Errorf("route of topic %q from %s: %w", topic, r.addr, err)
	}
	return route, nil
}

func decodeRoute(body []byte) (Route, error) {
	var j struct {
		Brokers []brokerJSON `json:"brokerDatas"`
		Queues  []struct {
			Broker string `json:"brokerName"`
			Read   int32  `json:"readQueueNums"`
			Write  int32  `json:"writeQueueNums"`
			Perm   int32  `json:"perm"`
		} `json:"queueDatas"`
	}
	if err := unmarshal(body, &j); err != nil {
		return Route{}, err
	}
	var r Route
	for _, b := range j.Brokers {
		r.Brokers = append(r.Brokers, b.broker())
	}
	for _, q := range j.Queues {
		r.Queues = append(r.Queues, QueueData{Broker: q.Broker, ReadQueues: q.Read, WriteQueues: q.Write, Perm: q.Perm})
	}
	return r, nil
}

// ClusterInfo is all brokers that a name server knows (class ClusterInfo).
type ClusterInfo struct {
	Brokers  map[string]Broker   // by broker name
	Clusters map[string][]string // broker names by cluster name
}

// ClusterInfo asks the name servers for all brokers.
func (c *Client) ClusterInfo(ctx context.Context) (ClusterInfo, error) {
	r, err := c.askNamesrv(ctx, func(cmd *command) { cmd.code = codeClusterInfo })
	if err != nil {
		return ClusterInfo{}, fmt.Errorf("cluster info: %w", err)
	}
	var j struct {
		Brokers  map[string]brokerJSON `json:"brokerAddrTable"`
		Clusters map[string][]string   `json:"clusterAddrTable"`
	}
	if err := unmarshal(r.body, &j); err != nil {
		return ClusterInfo{}, fmt.Errorf("cluster info from %s: %w", r.addr, err)
	}
	info := ClusterInfo{Brokers: make(map[string]Broker, len(j.Brokers)), Clusters: j.Clusters}
	for name, b := range j.Brokers {
		info.Brokers[name] = b.broker()
	}
	return info, nil
}
