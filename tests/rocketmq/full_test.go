package rocketmq

import (
	"fmt"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// full has the broker's disk full: publishes are refused, with a reason, once queueFailover is over, and so is who wants a session that is kept; reading goes
// on; when there is room again all of it does, and nothing has to be started again.
func (s *site) full() {
	t := s.t
	o := nodeOptions(s.c, "queueFailover=2s")
	o.Errors = true // a refusal is logged as one
	n := broker.Start(t, o)
	var box, away, late inbox
	must(t, connect(t, n.TCP, "full", &box).subscribe(1, "full/#"))
	c := connect(t, n.TCP, "full-away", &away, keep)
	must(t, c.subscribe(1, "full/#"))
	c.leave()
	publisher := connect(t, n.TCP, "full-publisher", &inbox{})
	must(t, publisher.publish("full/x", "before", 1))

	b := s.c.Broker(0)
	must(t, b.Kill())
	b.DiskFull(true)
	must(t, b.Start())
	publish := func(payload string) answer {
		return <-publisher.send(&mqtt.Publish{QoS: 1, Topic: []byte("full/x"), Payload: []byte(payload)})
	}
	tries := 0
	eventually(t, "publishes are refused", func() bool {
		tries++
		a := publish(fmt.Sprint("while full ", tries))
		return a.err == nil && a.code >= mqtt.UnspecifiedError
	})
	began := time.Now()
	if a := publish("refused"); a.err != nil || a.code < mqtt.UnspecifiedError || a.reason == "" {
		t.Errorf("a publish while the disk is full is answered with %v %q: %v", a.code, a.reason, a.err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("refused after %v, queueFailover is 2s", took)
	}
	if _, err := dial(n.TCP, "full-away", &away, keep); err == nil || !strings.Contains(err.Error(), "Server unavailable") {
		t.Errorf("a session that is kept begins with %v", err)
	}
	reader := connect(t, n.TCP, "full-late", &late) // nothing is kept of it
	must(t, reader.subscribe(1, "full/#"))

	must(t, b.Kill())
	b.DiskFull(false)
	must(t, b.Start())
	eventually(t, "publishes are taken again", func() bool {
		tries++
		a := publish(fmt.Sprint("after ", tries))
		return a.ok() == nil
	})
	for _, b := range []*inbox{&box, &late} {
		_, err := b.await(fmt.Sprint("after ", tries))
		must(t, err)
	}
	connectSoon(t, n.TCP, "full-away", &away)
	_, err := away.await("before")
	must(t, err)
}
