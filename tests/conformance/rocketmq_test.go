package conformance

import (
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// shared is the RocketMQ behind the brokers of TestRocketMQ.
var shared = rocketmqtest.Shared{Options: rocketmqtest.Options{Version: rocketmqtest.V540}}

// The statements hold with messages in RocketMQ as well. All topics are below one first level, as a fleet would have them: a RocketMQ topic for each
// test would show nothing more, and take longer.
func TestRocketMQ(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	on := func(o broker.Options) *broker.Broker {
		o.Namesrv = c.Namesrv()
		return broker.Start(t, o)
	}
	runAll(t, onRocketMQ(t), &brokers{
		open:  on(broker.Options{Set: []string{"enableMetaModule=true"}}),
		login: on(broker.Options{Set: append(loginSet(), "enableMetaModule=true")}),
		bare:  on(broker.Options{Errors: true}),
		level: "conf/",
	})
}

// leftOut are the tests that are not run on RocketMQ, with the reasons.
func leftOut() map[string]string {
	return map[string]string{
		"transientError": "needs a store without room, which is the embedded log's; what RocketMQ refuses is shown in internal/store/rocketmq",
	}
}

// onRocketMQ is the catalogue without what is left out.
func onRocketMQ(t *testing.T) []test {
	t.Helper()
	reasons, out := leftOut(), 0
	tests := slices.DeleteFunc(catalogue(), func(c test) bool {
		_, left := reasons[c.name()]
		if left {
			out++
		}
		return left
	})
	if out != len(reasons) {
		t.Errorf("%d tests are left out, but there are reasons for %d", out, len(reasons))
	}
	return tests
}
