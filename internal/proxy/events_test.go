package proxy

import (
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
)

// Messages about clients do not go where RocketMQ or this broker keeps its own.
func TestEventTopicIsNotReserved(t *testing.T) {
	for topic, refused := range map[string]bool{"": false, "clients": false, "MQTT_SYS_SESSION": true, "RMQ_SYS_TRACE_TOPIC": true} {
		p := &Proxy{cfg: &config.Config{ClientEventTopic: topic}}
		err := p.openEvents()
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "clientEventTopic="+topic) {
			t.Errorf("%q: %v", topic, err)
		}
		if (p.events != nil) != (topic == "clients") {
			t.Errorf("%q: events %v", topic, p.events)
		}
	}
}

// Who reads events can tell the nodes apart, whether or not they have labels.
func TestNodeName(t *testing.T) {
	if nodeName("a") != "a" || nodeName("") == "" {
		t.Errorf("%q and %q", nodeName("a"), nodeName(""))
	}
}
