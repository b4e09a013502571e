package differential

import (
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// TestCompareTells shows that no rule excuses a difference in what one message makes a client get.
func TestCompareTells(t *testing.T) {
	sc := script{clients: []mqtt.Version{mqtt.V5, mqtt.V5, mqtt.V5, mqtt.V5}}
	m := newModel(&sc)
	m.begin(1, step{op: connect, client: 1, connect: connectStep{expiry: 1}})
	m.begin(2, step{op: subscribe, client: 1, filters: []mqtt.SubscribeFilter{{Filter: []byte("a"), QoS: 2}}, subID: 7})
	st, _ := m.begin(3, step{op: publish, client: 1, messages: []message{{number: 1, topic: "a", qos: 2}, {number: 2, topic: "a", qos: 2}}})
	got := []packet{
		{conn: 1, kind: mqtt.PUBREC, about: 1},
		{conn: 1, kind: mqtt.PUBREC, about: 2},
		{conn: 1, kind: mqtt.PUBLISH, order: "a", about: 1, qos: 2, ids: []uint32{7}, text: "properties"},
		{conn: 1, kind: mqtt.PUBLISH, order: "a", about: 2, qos: 2, ids: []uint32{7}},
		{conn: 1, kind: mqtt.PUBREL, order: "a", about: 1},
		{conn: 1, kind: mqtt.PUBCOMP, about: 1},
		{conn: 1, kind: mqtt.PUBCOMP, about: 2},
	}
	for i := range got {
		got[i].order = got[i].orderOn(1)
	}
	differ := func(change func([]packet) []packet) bool {
		o := outcome{model: m, i: 3, step: st}
		o.mosquitto[1], o.ours[1] = slices.Clone(got), change(slices.Clone(got))
		return len(compare(o, nil)) > 0
	}
	if differ(func(p []packet) []packet { return p }) {
		t.Fatal("the same is told to differ")
	}
	for name, change := range map[string]func([]packet) []packet{
		"PUBREC with a code":  func(p []packet) []packet { p[0].code = mqtt.NoMatchingSubscribers; return p },
		"order of PUBREC":     func(p []packet) []packet { p[0], p[1] = p[1], p[0]; return p },
		"no PUBREC":           func(p []packet) []packet { return p[1:] },
		"order of PUBLISH":    func(p []packet) []packet { p[2], p[3] = p[3], p[2]; return p },
		"PUBLISH twice":       func(p []packet) []packet { return append(p, p[2]) },
		"no PUBLISH":          func(p []packet) []packet { return slices.Delete(p, 2, 3) },
		"QoS":                 func(p []packet) []packet { p[2].qos = 1; return p },
		"DUP":                 func(p []packet) []packet { p[2].dup = true; return p },
		"no identifier":       func(p []packet) []packet { p[2].ids = nil; return p },
		"another identifier":  func(p []packet) []packet { p[2].ids = []uint32{8}; return p },
		"properties":          func(p []packet) []packet { p[2].text = ""; return p },
		"no PUBREL":           func(p []packet) []packet { return slices.Delete(p, 4, 5) },
		"PUBREL twice":        func(p []packet) []packet { return append(p, p[4]) },
		"PUBCOMP with a code": func(p []packet) []packet { p[5].code = mqtt.PacketIDNotFound; return p },
		"an end":              func(p []packet) []packet { return append(p, packet{conn: 1, kind: closed, order: "1 closed"}) },
		"DISCONNECT": func(p []packet) []packet {
			return append(p, packet{conn: 1, kind: mqtt.DISCONNECT, order: "1 DISCONNECT"})
		},
		"another client's":     func(p []packet) []packet { p[2].about = 3; return p },
		"another connection's": func(p []packet) []packet { p[2].conn = 2; p[2].order = "2 PUBLISH a"; return p },
	} {
		if !differ(change) {
			t.Errorf("not told: %s", name)
		}
	}
}

// TestScriptsAreTheirSeed shows that a seed stands for one script.
func TestScriptsAreTheirSeed(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		s := generate(seed).String()
		if s != generate(seed).String() {
			t.Fatalf("seed %d: two scripts", seed)
		}
		if seen[s] {
			t.Fatalf("seed %d: a script that another has", seed)
		}
		seen[s] = true
	}
}
