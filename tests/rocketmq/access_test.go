package rocketmq

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// With access control and TLS the right keys and authority are all that is needed; with wrong ones the process says what to change, and serves nobody.
func TestAccess(t *testing.T) {
	t.Parallel()
	acl := &rocketmqtest.ACL{AccessKey: "rocketmqtt", SecretKey: "12345678"}
	for _, o := range []rocketmqtest.Options{
		{Version: rocketmqtest.V540, ACL: acl, TLS: rocketmqtest.TLSEnforcing},
		{Version: rocketmqtest.V497, ACL: acl},
	} {
		if !rocketmqtest.Have(t, o.Version) {
			return
		}
		t.Run(o.Version, func(t *testing.T) { access(t, o) })
	}
}

func access(t *testing.T, o rocketmqtest.Options) {
	c := rocketmqtest.Start(t, o)
	with := func(secret string) []string {
		set := []string{"rocketmqAccessKey=" + o.ACL.AccessKey, "rocketmqSecretKey=" + secret}
		if o.TLS != rocketmqtest.TLSOff {
			set = append(set, "rocketmqTls=true", "rocketmqCaCertFile="+c.CA())
		}
		return set
	}
	right := with(o.ACL.SecretKey)
	a, b := node(t, c, right...), node(t, c, right...)
	var box inbox
	must(t, connect(t, b.TCP, "access", &box).subscribe(2, "access/#", "+/any"))
	publisher := connect(t, a.TCP, "access-publisher", &inbox{})
	must(t, publisher.publish("access/x", "signed", 2))
	must(t, publisher.publish("found/any", "registered", 1))
	for _, want := range []string{"signed", "registered"} {
		_, err := box.await(want)
		must(t, err)
	}

	path := binary(t)
	unready(t, path, nodeOptions(c, with("wrong-key")...).Set, "rocketmqAccessKey")
	if o.TLS != rocketmqtest.TLSOff {
		unready(t, path, nodeOptions(c, "rocketmqTls=true").Set, "certificate")
	}
}

// unready starts a node that cannot serve, and waits until its log says what to change.
func unready(t *testing.T, path string, set []string, want string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	args := []string{"serve", "--data-dir", t.TempDir(), "--set", "mqttPort=0", "--set", "mqttWsPort=0", "--set", "exporterPort=off"}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	var log output
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	eventually(t, "the log names "+want, func() bool { return strings.Contains(log.String(), want) }, log.String)
	if strings.Contains(log.String(), "msg=ready") {
		t.Errorf("a node that cannot serve says that it is ready:\n%s", log.String())
	}
}

// output is what a process has written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// binary is a rocketmqtt for tests that start it by themselves.
func binary(t *testing.T) string {
	t.Helper()
	root, err := broker.Root()
	must(t, err)
	path := filepath.Join(t.TempDir(), "rocketmqtt")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/rocketmqtt")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}
