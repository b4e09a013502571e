package main

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/java-conf.check")

// inJavaConf prepares the binary beside a copy, named conf, of testdata/java-conf: a conf directory of the Java proxy's, with the keys that its distribution
// and its documentation set.
func inJavaConf(t *testing.T, command string, set ...string) *exec.Cmd {
	t.Helper()
	args := []string{command, "--conf", "conf"}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	cmd := rocketmqtt(t, args...)
	if err := os.CopyFS(filepath.Join(cmd.Dir, "conf"), os.DirFS("testdata/java-conf")); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// check says of a conf directory of the Java proxy what has no meaning in it, and what differs.
func TestCheckOfJavaConf(t *testing.T) {
	const golden = "testdata/java-conf.check"
	cmd := inJavaConf(t, "check", "NAMESRV_ADDR=", "store=embedded")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if code := exitCode(t, cmd.Run()); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr.String())
	}
	_, got, _ := strings.Cut(stdout.String(), "\n\n") // behind the effective configuration
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("check prints\n%s\nwant %s\n%s\nif that is right: go test ./cmd/rocketmqtt -update", got, golden, want)
	}
}

// A conf directory of the Java proxy starts a broker as it is; one line names what has no meaning, with the reasons. The ports are the test's.
func TestServeOnJavaConf(t *testing.T) {
	cmd := inJavaConf(t, "serve", "store=embedded", "bindAddress=127.0.0.1", "mqttPort=0", "mqttWsPort=0", "exporterPort=0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	ignored := waitFor(t, lines, "keys of the Java proxy without meaning here")
	for _, want := range []string{
		"nettyWorkerThreadNum (conf/connect.conf:8): threads are not configured",
		"metaAddr (conf/service.conf:10): there is no meta service",
		"membersAddress (conf/meta.conf:2): there is no meta service",
	} {
		if !strings.Contains(ignored, want) {
			t.Errorf("the line does not say %q: %s", want, ignored)
		}
	}
	waitFor(t, lines, "msg=ready")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, lines, "msg=stopped")
	if _, err := io.Copy(io.Discard, log); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd.Wait()); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
