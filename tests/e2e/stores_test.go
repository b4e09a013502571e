package e2e

import (
	"os"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// shared is the RocketMQ behind all brokers that keep messages there, so their topics must not be the same.
var shared = rocketmqtest.Shared{Options: rocketmqtest.Options{Version: rocketmqtest.V540}}

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

// starter starts a broker on one of the stores.
type starter func(t testing.TB, o broker.Options) *broker.Broker

// onStores asks its question with messages in the embedded log, and then with messages in RocketMQ. Tests of retained messages and wills do not call it:
// on RocketMQ there are none yet, and TestMetaOff and TestMosquittoMeta say how they are refused. Nor does TestReadme, whose command says the store.
func onStores(t *testing.T, f func(t *testing.T, start starter)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { f(t, broker.Start) })
	if os.Getenv(broker.KindEnv) != "" {
		return // to see what another broker does
	}
	t.Run("rocketmq", func(t *testing.T) {
		c := shared.Cluster(t)
		if c == nil {
			return
		}
		f(t, func(t testing.TB, o broker.Options) *broker.Broker {
			o.Namesrv = c.Namesrv()
			return broker.Start(t, o)
		})
	})
}
