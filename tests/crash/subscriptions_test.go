package crash

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// Killed at once after SUBACK or UNSUBACK: the subscription is there, or it is not.
func TestKillAfterSubackAndUnsuback(t *testing.T) { onStores(t, testKillAfterSubackAndUnsuback) }

func testKillAfterSubackAndUnsuback(t *testing.T, namesrv string) {
	rounds := 4
	if namesrv != "" { // a start takes longer
		rounds = 2
	}
	tr := newTrial(t, namesrv)
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(fmt.Sprintf("MQTT %d", v), func(t *testing.T) {
			w := &wanderer{peer: peer{tr: tr, id: fmt.Sprint("w", v), version: v, rand: rand.New(rand.NewPCG(0, 0))}}
			for round := range rounds {
				l := w.comeAndLook(t)
				for place := range home {
					change := w.subscribe
					if w.subs[place] == yes && (round+place)%2 == 1 {
						change = w.unsubscribe
					}
					if up, err := change(l, place); !up || err != nil {
						t.Fatal(up, err)
					}
				}
				tr.kill()
				l.close()
			}
			w.comeAndLook(t).close()
		})
	}
}

// comeAndLook connects to the session and sees which subscriptions there are.
func (w *wanderer) comeAndLook(t *testing.T) *link {
	t.Helper()
	l, present, err := w.connect(keep())
	if err != nil {
		t.Fatal(err)
	}
	w.believe(present)
	w.answers = map[uint16][]byte{}
	for _, step := range []func(*link) (bool, error){w.comeHome, w.look} {
		if up, err := step(l); !up || err != nil {
			t.Fatal(up, err)
		}
	}
	return l
}
