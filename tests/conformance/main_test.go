// Package conformance shows, statement by statement, that the broker does what MQTT 3.1.1 and 5.0 demand of a server.
//
// The statements stand in statements.tsv, with their numbers and in words of our own; where there can be no test, a note says
// why. The tests are functions in the tables of catalogue, each with the numbers that it shows; TestMQTT runs them
// against broker processes, with raw packets, as TestMQTT/version/MQTT-number/function, and TestRocketMQ against processes that keep
// messages in RocketMQ. CONFORMANCE.md is made of statements and tests: go test ./tests/conformance -update writes it, TestDocument fails when it is not
// up to date.
package conformance

import (
	"flag"
	"os"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// parallel is the number of subtests at a time: most of them wait for packets, a few for a timer of the protocol.
const parallel = "32"

func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set {
		_ = flag.Set("test.parallel", parallel) // it is a flag of package testing, and takes a number
	}
	os.Exit(shared.Main(m))
}

// test shows the statements of each version that it lists, by number and separated by spaces.
type test struct {
	v311, v5 string
	run      func(r *run)
}

// catalogue is every test of this package.
func catalogue() []test {
	var all []test
	for _, part := range [][]test{
		encodingTests(), connectTests(), connackTests(), sessionTests(), publishTests(), propertyTests(), qosTests(),
		orderTests(), flowTests(), subscribeTests(), topicTests(), sharedTests(), retainedTests(), willTests(), disconnectTests(),
		authTests(), transportTests(),
	} {
		all = append(all, part...)
	}
	return all
}

// What the broker that asks for a login is configured with.
const (
	username  = "rocket"
	secretKey = "conformance"
)

func TestMQTT(t *testing.T) {
	runAll(t, catalogue(), &brokers{
		open:  broker.Start(t, broker.Options{}),
		login: broker.Start(t, broker.Options{Set: loginSet()}),
		bare:  broker.Start(t, broker.Options{Set: []string{"enableMetaModule=false"}, Errors: true}),
		full:  broker.Start(t, broker.Options{Set: []string{"diskReserve=1048576GB"}, Errors: true}),
	})
}

func loginSet() []string {
	return []string{"username=" + username, "secretKey=" + secretKey, "bindAddress=127.0.0.1"}
}

// runAll runs the tests as they show each statement of each version.
func runAll(t *testing.T, tests []test, b *brokers) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			for _, s := range shown(tests, v) {
				t.Run("MQTT-"+s.id+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					s.outcome.of(t, func() { s.run(newRun(t, v, b)) })
				})
			}
		})
	}
}

// outcome is that of a test that shows several statements: it runs once, and what it found holds for all of them.
type outcome struct {
	once   sync.Once
	by     string
	failed bool
}

func (o *outcome) of(t *testing.T, run func()) {
	o.once.Do(func() {
		o.by = t.Name()
		defer func() { o.failed = t.Failed() }() // also when the test ended itself
		run()
	})
	if o.failed && o.by != t.Name() {
		t.Errorf("see %s", o.by)
	}
}
