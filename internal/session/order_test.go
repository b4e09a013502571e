package session

import (
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The beginning of a QoS 2 delivery is in the log before the end of the connection that counts on it: the next connection finds it.
func TestOrderOfBeginningAndEnd(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	came, release := h.hold(t, store.Send2, "sub")
	pub.send("t", "once", 2)
	wait(t, "the beginning", came)
	sub.Close()
	select {
	case <-sub.c.gone:
		t.Error("the end was written before the beginning")
	case <-time.After(quiet):
	}
	release()
	sub.gone()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.accept(sub.wantPublish("t", "once", 2))
	sub.nothing()
	h.mu.Lock()
	defer h.mu.Unlock()
	at := func(kind store.ChangeKind) int {
		return slices.IndexFunc(h.log, func(c store.Change) bool { return c.Kind == kind && c.Client == "sub" })
	}
	if begun, ended := at(store.Send2), at(store.Detach); begun > ended {
		t.Errorf("Send2 is change %d, Detach %d", begun, ended)
	}
}

// A checkpoint does not pass what a session has not dealt with whose connection is ending: until its end is written, a crash goes back to the
// checkpoint.
func TestCheckpointWhileEnding(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.ProgressInterval = time.Hour }) // the test calls checkpoint itself
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	b.m.checkpoint(nil) // writes that it follows
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "not acknowledged", 1)
	sub.wantPublish("t", "not acknowledged", 1)
	sub.driving.Lock() // until it is given back the end is not written
	sub.c.end(mqtt.ServerBusy, "")
	pub.send("t", "not sent", 1)
	b.m.checkpoint(nil)
	pub.send("other", "syncs the checkpoint", 1)

	left := b.fs.CrashClone(vfs.CrashCloneCfg{})
	sub.driving.Unlock()
	b.stop()
	b.fs = left
	b.start()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.accept(sub.wantPublish("t", "not acknowledged", 1))
	sub.accept(sub.wantPublish("t", "not sent", 1))
	sub.nothing()
}
