package crash

import (
	"os"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// shared is the RocketMQ behind the brokers that keep messages there. It is not killed here: tests/rocketmq does that.
var shared = rocketmqtest.Shared{Options: rocketmqtest.Options{Version: rocketmqtest.V540}}

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

// onStores runs a trial with messages in the embedded log, and one with messages in RocketMQ: namesrv is its name server, or "".
func onStores(t *testing.T, f func(t *testing.T, namesrv string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { f(t, "") })
	t.Run("rocketmq", func(t *testing.T) {
		if c := shared.Cluster(t); c != nil {
			f(t, c.Namesrv())
		}
	})
}
