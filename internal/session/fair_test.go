package session

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// topicIn is a topic below fair/ whose messages are in queue q.
func topicIn(q store.Queue) string {
	for i := 0; ; i++ {
		if topic := fmt.Sprint("fair/", i); queueOf(topic) == q {
			return topic
		}
	}
}

// A subscriber whose window is always full gets what waits in every queue, though more comes to one of them with everything that it acknowledges; so does a
// group with such a member.
func TestEveryQueueHasItsTurn(t *testing.T) {
	for _, filter := range []string{"fair/#", "$share/g/fair/#"} {
		for busy := range queues {
			t.Run(fmt.Sprint(filter, " busy ", busy), func(t *testing.T) { everyQueueHasItsTurn(t, filter, topicIn(busy)) })
		}
	}
}

func everyQueueHasItsTurn(t *testing.T, filter, busy string) {
	b := newBroker(t)
	narrow := func(p *mqtt.Connect) { p.ReceiveMaximum = 1 }
	sub, _ := b.connect(mqtt.V5, "sub", keep, narrow)
	sub.subscribe(filter, 1)
	sub.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	waits := map[string]bool{}
	for q := range queues {
		pub.send(topicIn(q), "missed", 1)
		waits[topicIn(q)] = true
	}
	pub.send(busy, "missed too", 1)
	sub, _ = b.connect(mqtt.V5, "sub", keep, narrow)
	const turns = 20 // for each queue
	for range turns * queues {
		p := new(mqtt.Publish)
		sub.next(mqtt.PUBLISH, p)
		delete(waits, string(p.Topic))
		pub.send(busy, "more", 1)
		sub.ack(mqtt.PUBACK, p.PacketID)
	}
	if len(waits) > 0 {
		t.Errorf("after %d messages nothing has come of %v", turns*queues, waits)
	}
}

// A client that holds on to all messages but one gets one more for that one, alone or as the member of a group.
func TestOneAcknowledgementIsRoomForOne(t *testing.T) {
	for _, filter := range []string{"fair/#", "$share/g/fair/#"} {
		b := newBroker(t)
		const window, missed = 10, 40
		held := func(p *mqtt.Connect) { p.ReceiveMaximum = window }
		sub, _ := b.connect(mqtt.V5, "sub", keep, held)
		sub.subscribe(filter, 1)
		sub.gone()
		pub, _ := b.connect(mqtt.V5, "pub")
		for i := range missed {
			pub.send(topicIn(0), fmt.Sprint(i), 1)
		}
		sub, _ = b.connect(mqtt.V5, "sub", keep, held)
		for i := range missed {
			p := sub.wantPublish(topicIn(0), fmt.Sprint(i), 1)
			if i >= window-1 {
				sub.ack(mqtt.PUBACK, p.PacketID)
			}
		}
	}
}
