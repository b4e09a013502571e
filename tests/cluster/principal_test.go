package cluster

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/auth"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// A session belongs to the user who began it: nobody else gets it at any node, and the owner's connection stays, and what it is owed.
func TestPrincipal(t *testing.T) {
	cluster := shared.Cluster(t)
	if cluster == nil {
		return
	}
	const user, key, id = "owner", "a-secret-key", "principal-owned"
	nodes := startNodes(t, 3, nodeOptions(cluster.Namesrv(), "username="+user, "secretKey="+key, "allowAnonymous=true", "bindAddress=127.0.0.1"))
	c := newCrowd(t, addresses(nodes))
	c.stable = true
	s := c.stream("principal", 2)
	r := newReader(id, mqtt.V5, 2, "principal", []*stream{s})
	r.user, r.password = user, auth.Password(key, id)
	c.read(r, 0)
	c.write(newWriter("principal-writer", mqtt.V311, s), 1)
	c.publish(steady, 1<<30)
	for _, at := range []int{0, 1, 2} {
		must(t, c.order(c.roamers[0], at, orderly))
		for _, addr := range c.addrs {
			for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
				for _, clean := range []bool{false, true} {
					refused(t, addr, v, id, clean)
				}
			}
		}
		c.progress("others have tried", 5)
		if got := r.connectedTimes(); got != at+2 {
			t.Errorf("the owner has connected %d times, want %d", got, at+2)
		}
	}
	c.quiet()
}

// refused connects as nobody, and must be told that this client id is not for it.
func refused(t *testing.T, addr string, v mqtt.Version, id string, clean bool) {
	t.Helper()
	conn, err := wire.Dial(addr, v)
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.Send(&mqtt.Connect{Version: v, ClientID: []byte(id), CleanStart: clean, RequestProblem: true, ReceiveMaximum: 10}))
	p, err := conn.Read(answer)
	must(t, err)
	if ack, ok := p.(*mqtt.Connack); !ok || ack.Code != mqtt.NotAuthorized || ack.SessionPresent {
		t.Errorf("MQTT %d at %s, clean %t, is answered with %+v", v, addr, clean, p)
	}
}
