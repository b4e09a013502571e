package proxy

import (
	"context"
	"fmt"
	"os"

	"github.com/rocketmqtt/rocketmqtt/internal/events"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
)

// openEvents begins to write messages about clients, where that is wanted.
func (p *Proxy) openEvents() error {
	topic := p.cfg.ClientEventTopic
	switch {
	case topic == "":
		return nil
	case !router.MayPublish(topic):
		return fmt.Errorf("clientEventTopic=%s is a topic of RocketMQ's own or of this broker's; choose another name", topic)
	}
	p.events = events.New(events.Options{Store: p.store, Topic: topic, Node: nodeName(p.cfg.LocalAddress), Log: p.log})
	return nil
}

// closeEvents hands the store what is left to tell of clients, in half of the time that a stop may take: when RocketMQ is away it would take all, and the
// steps behind it need some. What is dropped then is no failure of the stop.
func (p *Proxy) closeEvents(ctx context.Context) {
	if p.events == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.StopTimeout/2)
	defer cancel()
	if err := p.events.Close(ctx); err != nil {
		p.log.Warn("client events are dropped", "error", err)
	}
}

// nodeName is the label of this node, or the name of its host: events come from several nodes, and have to say from which.
func nodeName(label string) string {
	if label != "" {
		return label
	}
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
