package session

import (
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A packet id may be taken for QoS 2 while the store still has it for a QoS 1 message that was acknowledged since the last Progress. After a
// crash it is the QoS 2 message's: that one is not lost, and the other does not come under an id that the client has not released [MQTT-2.2.1-4].
func TestPacketIDTakenForQoS2BeforeProgress(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.ProgressInterval = time.Hour })
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "old 1", 1)
	sub.wantPublish("t", "old 1", 1)
	pub.send("t", "old 2", 2)
	sub.wantPublish("t", "old 2", 2)
	b.crash()

	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.wantPublish("t", "old 2", 2)
	again := sub.wantPublish("t", "old 1", 1) // under a new id, above that of the message behind it
	sub.gone()

	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.accept(sub.wantPublish("t", "old 1", 1))
	sub.wantPublish("t", "old 2", 2)
	pub, _ = b.connect(mqtt.V5, "pub")
	pub.send("t", "new", 2)
	first := sub.wantPublish("t", "new", 2)
	if first.PacketID != again.PacketID {
		t.Fatalf("packet id %d; the test is about %d, which was free", first.PacketID, again.PacketID)
	}
	b.crash()

	sub, _ = b.connect(mqtt.V5, "sub", keep)
	old := sub.wantPublish("t", "old 2", 2)
	p := sub.wantPublish("t", "new", 2)
	sub.accept(old)
	if !p.Dup || p.PacketID != first.PacketID {
		t.Errorf("DUP %v, packet id %d, want %d", p.Dup, p.PacketID, first.PacketID)
	}
	sub.accept(p)
	sub.nothing()
}

// That a QoS 2 delivery has ended is in the log before what its packet id is used for next: else it would end that.
func TestPacketIDTakenAgainAfterItsEnd(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "under way", 1)
	sub.wantPublish("t", "under way", 1)
	pub.send("t", "ends", 2)
	ends := sub.wantPublish("t", "ends", 2)
	sub.ack(mqtt.PUBREC, ends.PacketID)
	sub.wantAck(mqtt.PUBREL, ends.PacketID, mqtt.Success)
	sub.gone()

	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.wantAck(mqtt.PUBREL, ends.PacketID, mqtt.Success)
	sub.wantPublish("t", "under way", 1) // the id that comes after its own is the next one
	came, release := h.hold(t, store.Done2, "sub")
	b.open.Go(func() { sub.ack(mqtt.PUBCOMP, ends.PacketID) })
	wait(t, "the end of the delivery", came)
	pub.send("t", "begins", 2)
	sub.nothing()
	release()
	begins := sub.wantPublish("t", "begins", 2)
	if begins.PacketID != ends.PacketID {
		t.Fatalf("packet id %d; the test is about %d, which was free", begins.PacketID, ends.PacketID)
	}
	b.crash()

	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.wantPublish("t", "under way", 1)
	if p := sub.wantPublish("t", "begins", 2); !p.Dup || p.PacketID != begins.PacketID {
		t.Errorf("DUP %v, packet id %d, want %d", p.Dup, p.PacketID, begins.PacketID)
	}
}
