package session

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// Where several processes share the store, a will is published once, by whichever of them, and only when it is owed.
func TestWillInACluster(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay uint32
		end   func(a, b *process, cl *client)
		want  bool
	}{
		{"the connection is lost", 0, func(_, _ *process, cl *client) { cl.gone() }, true},
		{"DISCONNECT", 0, func(_, _ *process, cl *client) { cl.packet(&mqtt.Disconnect{}); cl.gone() }, false},
		{"the delay is not over", 100, func(_, _ *process, cl *client) { cl.gone() }, false},
		{"the session is begun anew elsewhere before the delay is over", 100, func(_, b *process, cl *client) {
			cl.gone()
			b.connect(mqtt.V5, "c")
		}, true},
		{"taken over", 0, func(_, b *process, cl *client) {
			b.connect(mqtt.V5, "c", keep)
			cl.wantDisconnect(mqtt.SessionTakenOver)
			cl.gone()
		}, true},
		{"taken over before the delay is over", 100, func(_, b *process, cl *client) {
			b.connect(mqtt.V5, "c", keep)
			cl.wantDisconnect(mqtt.SessionTakenOver)
			cl.gone()
		}, false},
		{"taken over by a new session", 100, func(_, b *process, cl *client) {
			b.connect(mqtt.V5, "c")
			cl.wantDisconnect(mqtt.SessionTakenOver)
			cl.gone()
		}, true},
		{"the process dies", 0, func(a, _ *process, _ *client) { a.kill() }, true},
		{"the process dies, and the client is elsewhere at once", 0, func(a, b *process, _ *client) {
			a.kill()
			b.connect(mqtt.V5, "c", keep)
		}, true},
		{"the process dies, and the client is elsewhere before the delay is over", 100, func(a, b *process, _ *client) {
			a.kill()
			b.connect(mqtt.V5, "c", keep)
		}, false},
		{"the process stops", 0, func(a, _ *process, _ *client) { a.m.Disconnect(); a.open.Wait() }, false},
	} {
		for qos := range byte(3) {
			for _, kept := range []bool{true, false} {
				if !kept && c.delay > 0 { // the session ends with its connection, and the delay with it
					continue
				}
				t.Run(fmt.Sprintf("%s, QoS %d, kept %v", c.name, qos, kept), func(t *testing.T) {
					t.Parallel()
					all := newCluster(t, 3)
					watch := all.nodes[2].watch()
					cl, _ := all.nodes[0].connect(mqtt.V5, "c", withWill(c.delay, func(w *mqtt.Will) { w.QoS = qos }), func(p *mqtt.Connect) {
						if kept {
							keep(p)
						}
					})
					c.end(all.nodes[0], all.nodes[1], cl)
					if c.want {
						watch.accept(watch.wantPublish("w/c", "gone", qos))
					}
					watch.nothing()
				})
			}
		}
	}
}
