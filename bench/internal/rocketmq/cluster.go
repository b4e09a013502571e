// Package rocketmq is the RocketMQ that proxies are measured in front of, and what they are compared with there: a client without MQTT,
// which sends and reads with the same requests on the same machine. What neither does costs nothing here: there are no sessions, no
// acknowledgements of deliveries and nothing is matched.
package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

const (
	// Version is RocketMQ's.
	Version = rocketmqtest.V540
	// Queues is how many the topics have.
	Queues = 8

	// First is the RocketMQ topic, and so the first level, that proxies read and write at a low rate; they find it made. What floods leave behind is in another.
	First = "bench"
	// Flooded is the one that proxies and the bare client flood, so that both write to the same queues.
	Flooded = "bench-flood"

	// The topic of the bare client: proxies that follow First do not read what it sends.
	tailed = "bench-tail"

	setupTimeout = 30 * time.Second
	settleStep   = 20 * time.Millisecond
)

// Cluster is a name server and one broker that run, and have the topics.
type Cluster struct {
	cluster *rocketmqtest.Cluster
	addr    string
}

// Missing says what is missing to run one: a JDK, or Maven to fetch RocketMQ.
func Missing() error { return rocketmqtest.Available(Version) }

// Start starts RocketMQ, as it is out of the box or, sync, with flushDiskType=SYNC_FLUSH. Its files are below dir. Without measuring it takes less of a processor
// to start and to run, and says nothing about how fast it is.
func Start(dir string, sync, measuring bool) (*Cluster, error) {
	started, err := rocketmqtest.Launch(rocketmqtest.Options{Version: Version, SyncFlush: sync, Measuring: measuring, Dir: dir})
	if err != nil {
		return nil, fmt.Errorf("start RocketMQ: %w", err)
	}
	c := &Cluster{cluster: started, addr: started.Broker(0).Addr}
	if err := c.createTopics(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) createTopics() error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	for _, topic := range []string{First, Flooded, tailed} {
		config := remoting.TopicConfig{Topic: topic, ReadQueues: Queues, WriteQueues: Queues}
		if err := client.CreateTopic(ctx, c.addr, config); err != nil {
			return err
		}
	}
	return nil
}

// Settle waits, for at most 30 s, until the broker has given all that it has acknowledged to its readers' queues: it does so behind a flood, and what
// is measured next would pay for it. A broker that does not say how far it is, is asked again: it fails until it has its first sample of itself
// (RocketMQ's StoreStatsService).
func (c *Cluster) Settle() error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	for {
		info, err := client.BrokerRuntime(ctx, c.addr)
		if err == nil && info["dispatchBehindBytes"] == "0" {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("after %s: %w", setupTimeout, err)
			}
			return fmt.Errorf("after %s RocketMQ is %s bytes behind with its queues", setupTimeout, info["dispatchBehindBytes"])
		case <-time.After(settleStep):
		}
	}
}

// client is a new one: with connections of its own, as if it were a process.
func (c *Cluster) client() (*remoting.Client, error) {
	return remoting.New(remoting.Options{Namesrv: []string{c.cluster.Namesrv()}})
}

// Namesrv is the address of the name server, host:port.
func (c *Cluster) Namesrv() string { return c.cluster.Namesrv() }

// PID is the broker's process.
func (c *Cluster) PID() int { return c.cluster.Broker(0).PID() }

// Close ends it and removes its files.
func (c *Cluster) Close() error { return c.cluster.Close() }
