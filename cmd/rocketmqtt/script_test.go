package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// home lays out a directory as a release has it, with the test binary as rocketmqtt.
func home(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := t.TempDir()
	for _, d := range []string{"bin", "conf"} {
		if err := os.Mkdir(filepath.Join(h, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"bin/mqtt.sh", "bin/meta.sh"} {
		b, err := os.ReadFile(filepath.Join("../..", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h, f), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(h, "conf/connect.conf"), []byte("mqttPort=0\nmqttWsPort=0\nexporterPort=off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, filepath.Join(h, "bin/rocketmqtt")); err != nil {
		t.Fatal(err)
	}
	return h
}

// script runs a script of h through a link to it and compares exit code and output.
func script(t *testing.T, h, name string, code int, want string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(h, "bin", name), args...)
	cmd.Env = append(os.Environ(), asMain)
	out, err := cmd.CombinedOutput()
	if got := exitCode(t, err); got != code || !strings.Contains(string(out), want) {
		log, _ := os.ReadFile(filepath.Join(h, "logs/rocketmqtt.log")) // there may be none
		t.Fatalf("%s %v: exit code %d, want %d with %q:\n%s\nlog:\n%s", name, args, got, code, want, out, log)
	}
}

// mqtt.sh starts one broker on conf/, finds it again, and stops it.
func TestScript(t *testing.T) {
	h := home(t)
	t.Cleanup(func() { script(t, h, "mqtt.sh", 0, "", "stop") })
	script(t, h, "mqtt.sh", 3, "does not run", "status")
	script(t, h, "mqtt.sh", 0, "rocketmqtt runs, pid ", "start")
	script(t, h, "mqtt.sh", 0, "rocketmqtt runs, pid ", "status")
	script(t, h, "mqtt.sh", 1, "runs already", "start")
	script(t, h, "mqtt.sh", 0, "rocketmqtt runs, pid ", "restart", "--set", "localAddress=again")
	script(t, h, "mqtt.sh", 0, "rocketmqtt stopped", "stop")
	script(t, h, "mqtt.sh", 3, "does not run", "status")
	script(t, h, "mqtt.sh", 0, "does not run", "stop")
	if _, err := os.Stat(filepath.Join(h, "logs/rocketmqtt.pid")); !os.IsNotExist(err) {
		t.Errorf("pid file is still there: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(h, "logs/rocketmqtt.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "msg=ready"); n != 2 {
		t.Errorf("ready %d times, want 2:\n%s", n, log)
	}
}

// A start that fails says why and leaves nothing behind; a pid file of a process that is not ours does not count.
func TestScriptFailures(t *testing.T) {
	h := home(t)
	script(t, h, "mqtt.sh", 2, "usage")
	script(t, h, "mqtt.sh", 1, `maxConn="x": want a whole number`, "start", "--set", "maxConn=x")
	if err := os.WriteFile(filepath.Join(h, "logs/rocketmqtt.pid"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script(t, h, "mqtt.sh", 3, "does not run", "status")
	script(t, h, "mqtt.sh", 0, "does not run", "stop")
	if err := os.Remove(filepath.Join(h, "bin/rocketmqtt")); err != nil {
		t.Fatal(err)
	}
	script(t, h, "mqtt.sh", 1, "build it with: make", "start")
	script(t, h, "meta.sh", 0, "nothing to start", "start")
}

// On a conf directory with the lines that turn the meta module off in front of a RocketMQ that is not there, start says that it waits, and
// stop ends that.
func TestScriptWaitsForRocketMQ(t *testing.T) {
	t.Setenv("ROCKETMQ_MQTT_START_WAIT", "1")
	h := home(t)
	conf := "enableMetaModule=false\nstaticFirstTopics=topicA,iot/devices\nlocalAddress=192.168.1.100\nNAMESRV_ADDR=" + nobody(t) + "\n"
	if err := os.WriteFile(filepath.Join(h, "conf/service.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { script(t, h, "mqtt.sh", 0, "", "stop") })
	script(t, h, "meta.sh", 0, "nothing to start", "start")
	script(t, h, "mqtt.sh", 0, "still waits for RocketMQ", "start")
	script(t, h, "mqtt.sh", 0, "rocketmqtt runs, pid ", "status")
	script(t, h, "mqtt.sh", 0, "rocketmqtt stopped", "stop")
	log, err := os.ReadFile(filepath.Join(h, "logs/rocketmqtt.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"iot/devices stands for its first level, iot", "node=192.168.1.100", "msg=stopped"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(string(log), "level=ERROR") {
		t.Errorf("errors of a wait and a stop:\n%s", log)
	}
}

// nobody is an address on this machine that nobody listens on.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
