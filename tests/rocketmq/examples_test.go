package rocketmq

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

// What examples/README.md tells to do, in both languages: the application hears a device, reaches it, and answers it.
func TestExamples(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	n := node(t, c)
	t.Run("go", func(t *testing.T) {
		t.Parallel()
		if tools.Have(t, tools.ClientGo()) {
			examples(t, c, n, "gofleet", goExamples(t))
		}
	})
	t.Run("java", func(t *testing.T) {
		t.Parallel()
		examples(t, c, n, "javafleet", javaExamples(t))
		consumers(t, c, "javafleet")
	})
}

// command is how an example is run: receive, send or answer.
type command func(name string, args ...string) *exec.Cmd

func goExamples(t *testing.T) command {
	t.Helper()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./...")
	build.Dir = example(t, "go")
	complete(t, build)
	return func(name string, args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	}
}

// javaExamples runs with the jars of the version that pom.xml names, which have been fetched for the servers.
func javaExamples(t *testing.T) command {
	t.Helper()
	dir := example(t, "java")
	pom, err := os.ReadFile(filepath.Join(dir, "pom.xml"))
	must(t, err)
	if !strings.Contains(string(pom), "<version>"+rocketmqtest.V540+"</version>") {
		t.Error("pom.xml names another version than the test has")
	}
	return func(name string, args ...string) *exec.Cmd {
		return java(t, filepath.Join(dir, "src", "main", "java", strings.ToUpper(name[:1])+name[1:]+".java"), args...)
	}
}

func java(t *testing.T, source string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := rocketmqtest.Program(t.Context(), rocketmqtest.V540, source, t.TempDir(), args...)
	must(t, err)
	return cmd
}

// consumers shows that consumers of every kind get what a device publishes, and that its UNIQ_KEY finds it.
func consumers(t *testing.T, c *rocketmqtest.Cluster, topic string) {
	t.Helper()
	out := complete(t, java(t, "testdata/Consumers.java", c.Namesrv(), c.Broker(0).Addr, topic, "21.5"))
	for _, line := range []string{"pulled " + topic + "/7/temp\n", "popped " + topic + "/7/temp true\n", "found 21.5\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q does not have %q", out, line)
		}
	}
}

func example(t *testing.T, language string) string {
	t.Helper()
	root, err := broker.Root()
	must(t, err)
	return filepath.Join(root, "examples", language)
}

func examples(t *testing.T, c *rocketmqtest.Cluster, n *broker.Broker, topic string, example command) {
	t.Helper()
	box := inbox{packets: map[string]*mqtt.Publish{}}
	device := connect(t, n.TCP, topic+"-device", &box)
	must(t, device.subscribe(1, topic+"/7/set", topic+"/7/answers"))
	must(t, device.publish(topic+"/7/temp", "21.5", 1)) // and the topic is there
	var older inbox
	must(t, connect(t, n.TCP, topic+"-older", &older, v3).subscribe(1, topic+"/7/set"))

	received := begin(t, example("receive", c.Namesrv(), topic))
	says(t, received, topic+"/7/temp QoS 1: 21.5\n")
	begin(t, example("answer", c.Namesrv(), topic)) // not before: two JVMs at once make both slow

	complete(t, example("send", c.Namesrv(), topic+"/7/set", "on"))
	sent(t, &box, topic+"/7/set", "on")
	_, err := older.await("on") // with anything of MQTT 5 in the packet this would not be the payload
	must(t, err)

	answered(t, device, &box, topic, "text?", []byte("17"))
	answered(t, device, &box, topic, "bytes?", []byte{0, 1, 2, 0xFF})
	must(t, device.publish(topic+"/7/nothing", "", 1))
	says(t, received, topic+"/7/ask QoS 1: text?\n")
	says(t, received, topic+"/7/nothing QoS 1: \n")
}

func says(t *testing.T, process *printed, what string) {
	t.Helper()
	eventually(t, "a process prints "+what, func() bool { return strings.Contains(process.String(), what) }, process.String)
}

// sent looks at what send.go and Send.java say that the device gets.
func sent(t *testing.T, box *inbox, topic, payload string) {
	t.Helper()
	p, err := box.packet(payload)
	must(t, err)
	if string(p.Topic) != topic || p.QoS != 1 || string(p.ContentType) != "text/plain" || !p.HasMessageExpiry || p.MessageExpiry == 0 || p.MessageExpiry > 3600 {
		t.Errorf("%s came as %+v", payload, p)
	}
	if len(p.User) != 1 || string(p.User[0].Key) != "sender" || string(p.User[0].Value) != "application" {
		t.Errorf("%s came with the user properties %q", payload, p.User)
	}
}

// answered has the device ask and wait for the answer to its question.
func answered(t *testing.T, device *client, box *inbox, topic, question string, correlation []byte) {
	t.Helper()
	must(t, within(device.send(&mqtt.Publish{
		QoS: 1, Topic: []byte(topic + "/7/ask"), Payload: []byte(question), ResponseTopic: []byte(topic + "/7/answers"), CorrelationData: correlation,
	}), "ask "+question))
	p, err := box.packet("answer to " + question)
	must(t, err)
	if string(p.Topic) != topic+"/7/answers" || !bytes.Equal(p.CorrelationData, correlation) || len(p.User) > 0 {
		t.Errorf("the answer to %s came as %+v", question, p)
	}
}

// printed is what a process has printed. It is for any goroutine.
type printed struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *printed) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(b)
}

func (o *printed) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// complete runs a process to its end, which has to be a good one, and is what it printed.
func complete(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	cmd.SysProcAttr = broker.DieWithTest()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// begin starts a process that is to run until it is told to stop, which is at the end of the test.
func begin(t *testing.T, cmd *exec.Cmd) *printed {
	t.Helper()
	var out printed
	cmd.Stdout, cmd.Stderr = &out, t.Output()
	cmd.SysProcAttr = broker.DieWithTest()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	must(t, cmd.Start())
	t.Cleanup(func() { // the test's context has ended
		stopped(t, cmd)
	})
	return &out
}

// stopped waits for a process that got SIGTERM: in Go it returns from main, a JVM ends with 143.
func stopped(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 128+int(syscall.SIGTERM) {
		t.Errorf("%v: %v", cmd.Args, err)
	}
}
