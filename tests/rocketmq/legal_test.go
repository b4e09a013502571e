package rocketmq

import (
	"fmt"
	"strings"
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// legal publishes what MQTT allows and RocketMQ may choke on. Each passes through as it is, or is refused; the broker goes on dispatching, and has
// what was acknowledged after it was killed.
func (s *site) legal() {
	t := s.t
	var live, away inbox
	must(t, connect(t, s.b.TCP, "legal-live", &live).subscribe(1, "#"))
	absent := connect(t, s.a.TCP, "legal-away", &away, keep)
	must(t, absent.subscribe(1, "#"))
	absent.leave()

	taken := append(s.topics(&live), s.users(&live)...)
	taken = append(taken, s.devices()...)
	for _, w := range taken {
		s.came(&live, w)
	}
	must(t, s.c.Broker(0).Kill())
	must(t, s.c.Broker(0).Start())
	connectSoon(t, s.a.TCP, "legal-away", &away)
	for _, w := range taken {
		s.came(&away, w)
	}
	s.canary(&live, "after the kill")
}

// came waits for a message and compares it.
func (s *site) came(b *inbox, want delivery) {
	s.t.Helper()
	d, err := b.await(want.payload)
	must(s.t, err)
	if d != want {
		s.t.Errorf("%.50q came as %.100q with %d bytes of user properties, not as %.100q with %d", d.payload, d.topic, d.users, want.topic, want.users)
	}
}

// canary shows that the broker dispatches: a message on another topic arrives.
func (s *site) canary(b *inbox, after string) {
	s.t.Helper()
	payload := "canary " + after
	must(s.t, connect(s.t, s.a.TCP, "canary", &inbox{}).publish("canary/x", payload, 1))
	_, err := b.await(payload)
	must(s.t, err)
}

// try publishes p on a connection of its own, and reports whether it was taken. A refusal has a reason code, or ends the connection.
func (s *site) try(p *mqtt.Publish, change ...func(*mqtt.Connect)) bool {
	s.t.Helper()
	c := connect(s.t, s.a.TCP, "legal", &inbox{}, change...)
	defer c.close()
	p.QoS = 1
	switch a := <-c.send(p); {
	case a.ok() == nil:
		return true
	case a.err != nil && change == nil && c.code == mqtt.Success:
		s.t.Errorf("%.80q: the connection ended without a reason: %v", p.Topic, a.err)
	}
	return false
}

func (s *site) topics(live *inbox) (taken []delivery) {
	long := func(n int) string { return "l/" + strings.Repeat("x", n-2) }
	// First levels that begin with % are RocketMQ's own; for the longest topic RocketMQ has no room. All others must pass.
	refusable := map[string]bool{"%RETRY%legal/x": true, "%": true, long(65_535): true}
	for i, topic := range []string{
		"legal/a,b", "a,b/c", ",", "legal/%LMQ%", "%RETRY%legal/x", "%", "legal/\u0001/\u0002", "legal/\u001f\u007f", "/legal/x", "//", "/",
		"пример/中文/🚀", "legal/$SYS", "legal/$share/g", " spaces / x ", "legal|pipe", "legal\\x", "a\tb", `"quoted"/{json}`, "MQTT_DEFAULT/x",
		long(300), "legal/" + strings.Repeat("d/", 120) + "x", long(20_000), long(65_535),
	} {
		payload := fmt.Sprint("topic ", i)
		if s.try(&mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload)}) {
			taken = append(taken, delivery{topic: topic, payload: payload, qos: 1})
		} else if !refusable[topic] {
			s.t.Errorf("a publish to %.80q is refused", topic)
		}
	}
	s.try(&mqtt.Publish{Topic: []byte(long(65_535)), Payload: []byte("3.1.1")}, v3)
	s.canary(live, "topics")
	return taken
}

// users publishes MQTT 5 user properties around and above what RocketMQ has room for.
func (s *site) users(live *inbox) (taken []delivery) {
	for _, size := range []int{31_000, 32_700, 32_764, 32_767, 32_768, 33_000, 40_000, 50_000, 65_000} {
		for _, pairs := range []int{1, 100} {
			payload := fmt.Sprintf("users %d in %d", size, pairs)
			p := &mqtt.Publish{Topic: []byte("legal/users"), Payload: []byte(payload)}
			for range pairs {
				p.User = append(p.User, mqtt.UserProperty{Key: []byte("DELAY"), Value: []byte(strings.Repeat("v", size/pairs-len("DELAY")))})
			}
			if s.try(p) {
				taken = append(taken, delivery{topic: "legal/users", payload: payload, qos: 1, users: size / pairs * pairs})
			}
			// A neighbour in the same batch is not harmed.
			s.canary(live, payload)
		}
	}
	return taken
}

// devices publishes to a thousand first levels, as fleets do whose topics begin with the device's id.
func (s *site) devices() (taken []delivery) {
	const many, together = 1000, 8
	var wg sync.WaitGroup
	failed := make(chan error, together)
	for w := range together {
		wg.Go(func() {
			c, err := dial(s.a.TCP, fmt.Sprint("devices-", w), &inbox{})
			if err != nil {
				failed <- err
				return
			}
			defer c.close()
			for n := w; n < many && err == nil; n += together {
				err = c.publish(fmt.Sprintf("device-%d/state", n), fmt.Sprint("device ", n), 1)
			}
			if err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		s.t.Fatal(err)
	default:
	}
	for n := range many {
		taken = append(taken, delivery{topic: fmt.Sprintf("device-%d/state", n), payload: fmt.Sprint("device ", n), qos: 1})
	}
	s.counted()
	return taken
}

// counted counts the topics that were made.
func (s *site) counted() {
	all, err := admin(s.t, s.c).TopicConfigs(s.t.Context(), s.c.Broker(0).Addr)
	must(s.t, err)
	made := 0
	for name := range all {
		if strings.HasPrefix(name, "device-") {
			made++
		}
	}
	if made == 0 || made > firstLevels {
		s.t.Errorf("%d topics were made for devices, maxFirstTopics is %d", made, firstLevels)
	}
}
