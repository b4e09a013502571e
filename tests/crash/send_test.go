package crash

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// sendPoint is where the broker is killed: after it had noted a message of QoS 2 durably and sent it, and before it was told that RocketMQ has it.
type sendPoint struct {
	name    string
	stage   stage
	down    func(*relay) error // while the broker is down
	further func(*relay) error // after the message was sent again and acknowledged
	again   bool               // before that the broker is killed once more, and the subscriber is there
}

func sendPoints() []sendPoint {
	nothing := func(*relay) error { return nil }
	return []sendPoint{
		{"never arrives", underWay, func(r *relay) error { r.lose(); return nil }, nothing, false},
		{"arrives while the broker is down", underWay, (*relay).deliver, nothing, false},
		{"arrives after it was sent again", underWay, nothing, (*relay).deliver, false},
		{"arrives after it was sent again and another kill", underWay, nothing, (*relay).deliver, true},
		{"has arrived, and nobody was told", unanswered, nothing, nothing, false},
	}
}

// Whatever becomes of a message that was on its way to RocketMQ when the broker was killed: when its publisher has completed the exchange it is
// delivered, in its place, and with QoS 2 once.
func TestKillBetweenSendAndAnswer(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	r := newRelay(t, c)
	tr := newTrial(t, r.addr)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for qos := byte(1); qos <= 2; qos++ {
			for i, p := range sendPoints() {
				if p.again && qos == 1 {
					continue // it may be delivered again
				}
				t.Run(fmt.Sprintf("MQTT %d QoS %d %s", v, qos, p.name), func(t *testing.T) {
					id := fmt.Sprintf("%d-%d-%d", v, qos, i)
					sub, pub := tr.talk(t, "s-"+id, v), tr.talk(t, "p-"+id, v)
					sub.subscribe()
					sub.leave(sub.link)
					pub.complete(qos, false, "zero")
					reached := r.stopAt(p.stage)
					pub.publish(qos, 1, false, "one")
					select {
					case <-reached:
					case <-time.After(answerTimeout):
						t.Fatal("the message did not come so far")
					}
					var failed error
					pub.killAnd(func() {
						r.goOn()
						failed = p.down(r)
					})
					if failed != nil {
						t.Fatal(failed)
					}
					pub.publish(qos, 1, true, "one")
					pub.want(stored(qos), 1)
					var got []string
					if p.again {
						pub.kill()
						sub.connect()
						got = sub.takeUntil("one")
					}
					if err := p.further(r); err != nil {
						t.Fatal(err)
					}
					if qos == 2 {
						pub.release(1)
					}
					pub.complete(2, false, "two")
					pub.leave(pub.link)
					if !p.again {
						sub.connect()
					}
					got = append(got, sub.takeUntil("two")...)
					if qos == 1 { // it was sent twice
						got = slices.Compact(got)
					}
					if want := []string{"zero", "one", "two"}; !slices.Equal(got, want) {
						t.Errorf("got %v, want %v", got, want)
					}
					sub.leave(sub.link)
				})
			}
		}
	}
}

// complete publishes under packet id 1 and goes through the exchange.
func (k *talk) complete(qos byte, dup bool, payload string) {
	k.t.Helper()
	k.publish(qos, 1, dup, payload)
	k.want(stored(qos), 1)
	if qos == 2 {
		k.release(1)
	}
}

func stored(qos byte) mqtt.Type { return map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC}[qos] }
