package differential

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

const (
	scripts  = 60 // a run; half a minute with the race detector
	pairs    = 2  // of brokers, which share them
	most     = 3  // scripts that differ, of a pair; then it is enough
	patience = 20 * time.Second
)

// TestSameAsMosquitto runs the same scripts every time, unless the environment asks for others.
func TestSameAsMosquitto(t *testing.T) {
	if !tools.Have(t, tools.Mosquitto()) {
		return
	}
	first, n := number(t, "ROCKETMQTT_DIFFERENTIAL_SEED", 1), number(t, "ROCKETMQTT_DIFFERENTIAL_SCRIPTS", scripts)
	if os.Getenv("ROCKETMQTT_DIFFERENTIAL_SEED") != "" && os.Getenv("ROCKETMQTT_DIFFERENTIAL_SCRIPTS") == "" {
		n = 1
	}
	for i := range pairs {
		t.Run(fmt.Sprintf("pair %d", i), func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			for seed, failed := first+uint64(i), 0; seed < first+n && failed < most; seed += pairs {
				if !p.same(t, generate(seed)) {
					failed++
				}
			}
			t.Logf("allowed: %v", p.used)
		})
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v; it is a number", name, err)
	}
	return n
}

func newPair(t *testing.T) *pair {
	mosquitto := broker.Start(t, broker.Options{Kind: broker.Mosquitto, Conf: []string{
		"log_type error", "log_type warning",
		"set_tcp_nodelay true",
		"max_inflight_messages 0",       // no limit, where the client has none
		"allow_duplicate_messages true", // otherwise MQTT 3 clients get the QoS of any one subscription that matches
	}})
	ours := broker.Start(t, broker.Options{Kind: broker.Rocketmqtt})
	return &pair{mosquitto: newSide(mosquitto), ours: newSide(ours), used: map[string]int{}}
}

// same fails the test when the brokers differ.
func (p *pair) same(t *testing.T, sc script) bool {
	r, err := p.run(&sc, patience)
	if err != nil {
		t.Fatalf("%s\n\n%v\n\n%s", sc, err, r.transcript)
	}
	if len(r.differences) == 0 {
		return true
	}
	t.Errorf("seed %d differs:\n%s", sc.seed, texts(r.differences))
	kind := r.differences[0].kind
	small := shrink(sc, func(s *script) bool {
		r, err := p.run(s, shrinkPatience)
		if err != nil {
			t.Fatalf("%s\n\n%v", s, err)
		}
		return slices.ContainsFunc(r.differences, func(d difference) bool { return d.kind == kind })
	})
	again, err := p.run(&small, patience)
	if err != nil {
		t.Fatalf("%s\n\n%v", small, err)
	}
	if len(again.differences) == 0 { // not every time
		t.Logf("%s\n\n%s", sc, r.transcript)
		return false
	}
	t.Logf("what is left of it, %d of %d steps:\n%s\n\n%s\n%s", len(small.steps), len(sc.steps), small, texts(again.differences), again.transcript)
	return false
}
