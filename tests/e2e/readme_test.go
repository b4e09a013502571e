package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

// The commands of README.md's Start section work as they stand there, and the first message is printed as it says.
// The ports and the data directory come from the environment and from mosquitto's own configuration files.
func TestReadme(t *testing.T) {
	if !tools.Have(t, tools.MosquittoPub(), tools.MosquittoSub()) {
		return
	}
	doc := readStart(t)
	root, err := broker.Root()
	if err != nil {
		t.Fatal(err)
	}
	tcp, ws, err := broker.FreeAddrs()
	if err != nil {
		t.Fatal(err)
	}
	_, tcpPort, _ := net.SplitHostPort(tcp)
	_, wsPort, _ := net.SplitHostPort(ws)
	serve := startShell(t, doc.serve, root, "ROCKETMQTT_MQTT_PORT="+tcpPort, "ROCKETMQTT_MQTT_WS_PORT="+wsPort, "ROCKETMQTT_EXPORTER_PORT=off",
		"ROCKETMQTT_DATA_DIR="+t.TempDir())
	poll(t, "msg=ready of "+doc.serve, func() bool { return strings.Contains(serve.String(), "msg=ready") })

	conf := t.TempDir()
	for _, name := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte("-p "+tcpPort+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sub := startShell(t, strings.TrimSuffix(strings.TrimSpace(doc.sub), "&"), root, "XDG_CONFIG_HOME="+conf)
	// A reader types the second command after the first has subscribed; the test does not know when that is and
	// types it again.
	poll(t, fmt.Sprintf("%q printed", doc.printed), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		pub := exec.CommandContext(ctx, "sh", "-c", doc.pub)
		pub.Env = append(os.Environ(), "XDG_CONFIG_HOME="+conf)
		if out, err := pub.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", doc.pub, err, out)
		}
		return strings.Contains(sub.String(), doc.printed+"\n")
	})
}

type start struct{ serve, sub, pub, printed string }

// readStart takes the commands out of README.md.
func readStart(t *testing.T) start {
	t.Helper()
	root, err := broker.Root()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shape := regexp.MustCompile("(?s)<!-- serve -->\n```sh\n([^`]+)\n```\n.*?```sh\n(mosquitto_sub [^\n]+)\n(mosquitto_pub [^\n]+)\n```\n+`([^`]+)` is printed")
	m := shape.FindSubmatch(readme)
	if m == nil {
		t.Fatalf("README.md has no serve command followed by mosquitto_sub, mosquitto_pub and what is printed: %s", shape)
	}
	return start{string(m[1]), string(m[2]), string(m[3]), string(m[4])}
}

// output is what a command has printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// startShell runs script, in a process group of its own, until the test ends.
func startShell(t *testing.T, script, dir string, env ...string) *output {
	t.Helper()
	out := new(output)
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // what the shell started too
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_ = cmd.Wait()
		}()
		select {
		case <-gone:
		case <-time.After(patience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-gone
			t.Errorf("%q does not stop", script)
		}
		if t.Failed() {
			t.Logf("output of %q:\n%s", script, out)
		}
	})
	return out
}
