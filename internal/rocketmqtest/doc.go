// Package rocketmqtest runs real RocketMQ servers for tests: a name server and brokers, each a JVM of its own, on ports of
// 127.0.0.1 and with a store in a temporary directory. They can be stopped, killed, paused, and started again on the same store and ports.
//
// A test package shares one cluster, since it takes seconds to start and most of a core while it does:
//
//	var shared = rocketmqtest.Shared{Options: rocketmqtest.Options{Version: rocketmqtest.V540}}
//
//	func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }
//
//	func TestSend(t *testing.T) {
//		c := shared.Cluster(t)
//		if c == nil {
//			return // no JDK; said by the kit, and a failure with CI=true
//		}
//		send(t, c.Namesrv())
//	}
//
// A test that stops brokers has its own: Start. Launch and Close are for whoever has no test.
//
// The servers run as they are installed, with these differences: TLS is off unless asked for, since the certificates that
// they make up at every start take 1.5 s each; the JIT compiler stops at its first tier, bytecode is not verified, and the collector is the serial one; files of the
// commit log have 64 MB; what keeps a broker of 5.x busy that has nothing to do is done less often (Broker.rest); a broker is told to register when it starts
// (Broker.register), and does so every 10 s. So nothing here says how fast RocketMQ is, but with Options.Measuring.
//
// The jars come from Maven Central, through mvn, into the user's cache directory, once for all test processes; see Fetch. Beside them are archives of
// classes that make a start cheaper, where somebody had them made; see Archive.
//
// On Linux the servers end with the test process, however that ends; elsewhere only with Close.
package rocketmqtest
