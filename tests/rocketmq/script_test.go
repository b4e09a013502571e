package rocketmq

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// The request that the meta module can be turned off, as its example has it: a conf directory with three more lines, and only mqtt.sh is started.
func TestMetaOff(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	h := release(t, "enableMetaModule=false\nstaticFirstTopics=topicA,iot/devices\nlocalAddress=127.0.0.1\nNAMESRV_ADDR="+c.Namesrv()+"\n")
	run(t, h.dir, "meta.sh", "nothing to start", "start")
	t.Cleanup(func() { run(t, h.dir, "mqtt.sh", "", "stop") })
	run(t, h.dir, "mqtt.sh", "rocketmqtt runs, pid ", "start")
	h.ready(t)

	var box inbox
	must(t, connect(t, h.tcp, "meta-off", &box).subscribe(1, "topicA/#", "iot/devices/+"))
	publisher := connect(t, h.tcp, "meta-off-publisher", &inbox{}, v3)
	for _, topic := range []string{"topicA/x", "iot/devices/1"} {
		must(t, publisher.publish(topic, "on "+topic, 1))
		_, err := box.await("on " + topic)
		must(t, err)
	}
	h.refusesWill(t)
	h.refusesRetain(t, publisher, &box)

	run(t, h.dir, "mqtt.sh", "rocketmqtt stopped", "stop")
	log := h.log(t)
	for _, want := range []string{"iot/devices stands for its first level, iot", "node=127.0.0.1", "client=meta-off-will", "client=meta-off-retain-0", "topicA/retained", "msg=stopped"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	for _, not := range []string{"metaAddr", "raft", "panic", "DATA RACE"} {
		if strings.Contains(log, not) {
			t.Errorf("the log says %q:\n%s", not, log)
		}
	}
}

// refusesWill: CONNECT with a will is refused, and the connection closed.
func (h *home) refusesWill(t *testing.T) {
	t.Helper()
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		conn, err := wire.Dial(h.tcp, v)
		must(t, err)
		defer func() { _ = conn.Close() }() // it has ended already
		must(t, conn.Send(&mqtt.Connect{
			Version: v, CleanStart: true, ClientID: []byte("meta-off-will"), RequestProblem: true,
			HasWill: true, Will: mqtt.Will{Topic: []byte("topicA/will"), Payload: []byte("will")},
		}))
		p, err := conn.Read(patience)
		must(t, err)
		ack, ok := p.(*mqtt.Connack)
		if !ok || ack.Code < mqtt.UnspecifiedError || v == mqtt.V5 && ack.Reason == "" {
			t.Errorf("MQTT %v with a will is answered with %+v", v, p)
		}
		if p, err := conn.Read(patience); err == nil {
			t.Errorf("MQTT %v with a will: the connection goes on with %+v", v, p)
		}
	}
}

// refusesRetain: PUBLISH with RETAIN is refused at every QoS and the connection closed; nobody gets the message.
func (h *home) refusesRetain(t *testing.T, old *client, box *inbox) {
	t.Helper()
	for qos := range byte(3) {
		c := connect(t, h.tcp, fmt.Sprint("meta-off-retain-", qos), &inbox{})
		c.send(&mqtt.Publish{QoS: qos, Retain: true, Topic: []byte("topicA/retained"), Payload: []byte("retained")})
		<-c.ended
		if c.code != mqtt.RetainNotSupported {
			t.Errorf("RETAIN at QoS %d ends the connection with %v %s", qos, c.code, c.why)
		}
	}
	old.send(&mqtt.Publish{QoS: 1, Retain: true, Topic: []byte("topicA/retained"), Payload: []byte("retained")})
	<-old.ended
	must(t, connect(t, h.tcp, "meta-off-next", &inbox{}).publish("topicA/retained", "next", 1))
	_, err := box.await("next")
	must(t, err)
	if box.times("retained") != 0 {
		t.Error("a message that was refused is delivered")
	}
}

// home is a directory as a release has it.
type home struct{ dir, tcp string }

func release(t *testing.T, service string) *home {
	t.Helper()
	root, err := broker.Root()
	must(t, err)
	tcp, ws, err := broker.FreeAddrs()
	must(t, err)
	_, port, _ := net.SplitHostPort(tcp)
	_, wsPort, _ := net.SplitHostPort(ws)
	h := &home{dir: t.TempDir(), tcp: tcp}
	must(t, os.Mkdir(filepath.Join(h.dir, "bin"), 0o755))
	must(t, os.Mkdir(filepath.Join(h.dir, "conf"), 0o755))
	must(t, os.Symlink(binary(t), filepath.Join(h.dir, "bin", "rocketmqtt")))
	for _, script := range []string{"bin/mqtt.sh", "bin/meta.sh"} {
		b, err := os.ReadFile(filepath.Join(root, script))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(h.dir, script), b, 0o755))
	}
	for name, text := range map[string]string{
		"connect.conf": "mqttPort=" + port + "\nmqttWsPort=" + wsPort + "\nexporterPort=off\n",
		"service.conf": service,
	} {
		must(t, os.WriteFile(filepath.Join(h.dir, "conf", name), []byte(text), 0o600))
	}
	return h
}

func (h *home) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, "logs", "rocketmqtt.log"))
	must(t, err)
	return string(b)
}

func (h *home) ready(t *testing.T) {
	t.Helper()
	eventually(t, "ready", func() bool { return strings.Contains(h.log(t), "msg=ready") }, func() string { return h.log(t) })
}

// run runs a script of a release.
func run(t *testing.T, dir, name, want string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // also in a cleanup, when the test's is over
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "bin", name), args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s %v: %v, want %q:\n%s", name, args, err, want, out)
	}
}
