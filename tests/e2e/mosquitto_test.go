package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

// forMosquitto runs f for each version that mosquitto_pub and mosquitto_sub speak, as they spell it.
func forMosquitto(t *testing.T, f func(t *testing.T, version string)) {
	t.Helper()
	if !tools.Have(t, tools.MosquittoPub(), tools.MosquittoSub()) {
		return
	}
	for _, v := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			f(t, v)
		})
	}
}

// mosquittoPub runs mosquitto_pub until it has published.
func mosquittoPub(t *testing.T, b *broker.Broker, version, topic, stdin string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := mosquittoCommand(ctx, tools.MosquittoPub().Path(t), b, version, append(args, "-t", topic))
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub %q: %v\n%s", args, err, out)
	}
}

func mosquittoCommand(ctx context.Context, path string, b *broker.Broker, version string, args []string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(b.TCP)
	return exec.CommandContext(ctx, path, append([]string{"-h", host, "-p", port, "-V", version}, args...)...)
}

// subscriber is a mosquitto_sub that runs.
type subscriber struct {
	t     *testing.T
	lines stream[string]
}

// mosquittoSub starts mosquitto_sub and returns when it has subscribed: its own word for that stays in the buffer of a
// pipe, so it is sent probes until it prints one. format is of mosquitto_sub's -F.
func mosquittoSub(t *testing.T, b *broker.Broker, version, format string, args ...string) *subscriber {
	t.Helper()
	probe := fmt.Sprint("probe/", rand.Uint64())
	args = append(args, "-t", probe, "-F", "%t|"+format)
	cmd := mosquittoCommand(t.Context(), tools.MosquittoSub().Path(t), b, version, args)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &subscriber{t: t, lines: newStream[string]()}
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.read(out, probe, ready)
	}()
	t.Cleanup(func() { // the context has ended it
		<-done
		_ = cmd.Wait()
	})
	poll(t, "probe at mosquitto_sub", func() bool {
		mosquittoPub(t, b, version, probe, "", "-q", "1", "-m", "?")
		select {
		case <-ready:
			return true
		default:
			return false
		}
	})
	return s
}

// read keeps what it prints but the probes. The first probe closes ready.
func (s *subscriber) read(out io.Reader, probe string, ready chan<- struct{}) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		topic, line, _ := strings.Cut(lines.Text(), "|")
		switch {
		case topic != probe:
			s.lines.put(line)
		case ready != nil:
			close(ready)
			ready = nil
		}
	}
}

func (s *subscriber) want(line string) {
	s.t.Helper()
	if got := s.lines.next(s.t, "line "+line); got != line {
		s.t.Errorf("mosquitto_sub printed %q, want %q", got, line)
	}
}

// Each QoS of mosquitto_pub meets each QoS of mosquitto_sub.
func TestMosquittoQoSMatrix(t *testing.T) { onStores(t, testMosquittoQoSMatrix) }

func testMosquittoQoSMatrix(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	forMosquitto(t, func(t *testing.T, version string) {
		for sub := range 3 {
			topic := fmt.Sprintf("%s/%d", prefix(t), sub)
			s := mosquittoSub(t, b, version, "%t %q %p", "-t", topic+"/#", "-q", fmt.Sprint(sub))
			for pub := range 3 {
				mosquittoPub(t, b, version, topic+"/x", "", "-q", fmt.Sprint(pub), "-m", fmt.Sprint("published with ", pub))
				s.want(fmt.Sprintf("%s/x %d published with %d", topic, min(pub, sub), pub))
			}
		}
	})
}

// Nothing (-n) and a file of 64 KiB (-f) arrive byte for byte.
func TestMosquittoPayloads(t *testing.T) { onStores(t, testMosquittoPayloads) }

func testMosquittoPayloads(t *testing.T, start starter) {
	b := start(t, broker.Options{Set: []string{"maxPacketSizeInByte=128KB"}})
	file := filepath.Join(t.TempDir(), "payload")
	payload := bytes.Repeat([]byte("0123456789abcde\n"), 64<<10/16)
	if err := os.WriteFile(file, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	forMosquitto(t, func(t *testing.T, version string) {
		s := mosquittoSub(t, b, version, "%l %x", "-t", prefix(t), "-q", "2")
		mosquittoPub(t, b, version, prefix(t), "", "-q", "1", "-n")
		s.want("0 ")
		mosquittoPub(t, b, version, prefix(t), "", "-q", "2", "-f", file)
		s.want(fmt.Sprintf("%d %x", len(payload), payload))
	})
}

// A session that mosquitto_sub -c left behind waits through a restart and a kill -9 with all that was published.
func TestMosquittoSession(t *testing.T) { onStores(t, testMosquittoSession) }

func testMosquittoSession(t *testing.T, start starter) {
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			forMosquitto(t, func(t *testing.T, version string) {
				b := start(t, durable())
				topic := prefix(t)
				session := []string{"-c", "-i", topic + "-away", "-t", topic + "/#", "-q", "2"}
				if version == "mqttv5" {
					session = append(session, "-x", fmt.Sprint(sessionExpiry))
				}
				path := tools.MosquittoSub().Path(t)
				once := mosquittoCommand(t.Context(), path, b, version, append(session, "-E")) // subscribes and goes
				if out, err := once.CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_sub -E: %v\n%s", err, out)
				}
				mosquittoPub(t, b, version, topic+"/1", "a\nb\nc\n", "-q", "1", "-l")
				mosquittoPub(t, b, version, topic+"/2", "d\ne\nf\n", "-q", "2", "-l")
				o.down(b)
				b.Start()
				s := mosquittoSub(t, b, version, "%t %q %p", session...)
				got := map[string]string{} // each topic's are in order
				for range 6 {
					line := s.lines.next(t, fmt.Sprintf("line; so far %q", got))
					got[line[:len(line)-1]] += line[len(line)-1:]
				}
				if want := map[string]string{topic + "/1 1 ": "abc", topic + "/2 2 ": "def"}; !maps.Equal(got, want) {
					t.Errorf("mosquitto_sub printed %q, want %q", got, want)
				}
			})
		})
	}
}

// Two mosquitto_sub share a subscription: each line of mosquitto_pub -l goes to one of them.
func TestMosquittoShared(t *testing.T) { onStores(t, testMosquittoShared) }

func testMosquittoShared(t *testing.T, start starter) {
	const messages = 40
	b := start(t, broker.Options{})
	forMosquitto(t, func(t *testing.T, version string) {
		share := []string{"-t", "$share/g/" + prefix(t), "-q", "1"}
		members := []*subscriber{mosquittoSub(t, b, version, "%p", share...), mosquittoSub(t, b, version, "%p", share...)}
		var lines strings.Builder
		for i := range messages {
			fmt.Fprintln(&lines, i)
		}
		mosquittoPub(t, b, version, prefix(t), lines.String(), "-q", "1", "-l")
		times, shares := map[string]int{}, make([]int, len(members))
		poll(t, "all messages at both members", func() bool {
			for i, m := range members {
				for line, ok := m.lines.take(); ok; line, ok = m.lines.take() {
					times[line]++
					shares[i]++
				}
			}
			return len(times) == messages
		})
		if shares[0]+shares[1] != messages || shares[0] == 0 || shares[1] == 0 {
			t.Errorf("%d messages were shared as %v", messages, shares)
		}
	})
}

// The properties that mosquitto_pub can set are what mosquitto_sub prints, user properties in their order.
func TestMosquittoProperties(t *testing.T) { onStores(t, testMosquittoProperties) }

func testMosquittoProperties(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	if !tools.Have(t, tools.MosquittoPub(), tools.MosquittoSub()) {
		return
	}
	s := mosquittoSub(t, b, "mqttv5", "%P|%R|%D|%C|%F", "-t", prefix(t), "-q", "1")
	args := []string{"-q", "1", "-m", "x"}
	for _, p := range [][]string{
		{"user-property", "b", "1"},
		{"user-property", "a", "2"},
		{"user-property", "b", "3"},
		{"response-topic", "answers/here"},
		{"correlation-data", "tag 7"},
		{"content-type", "text/plain"},
		{"payload-format-indicator", "1"},
	} {
		args = append(append(args, "-D", "publish"), p...)
	}
	mosquittoPub(t, b, "mqttv5", prefix(t), "", args...)
	s.want("b:1 a:2 b:3|answers/here|tag 7|text/plain|1")
}
