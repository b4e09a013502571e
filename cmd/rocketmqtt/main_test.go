package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// asMain makes the test binary behave as rocketmqtt, so that the tests see the real process: its exit code, its signals.
const asMain = "RUN_AS_ROCKETMQTT=1"

func TestMain(m *testing.M) {
	if os.Getenv("RUN_AS_ROCKETMQTT") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

const patience = 60 * time.Second // for one step of a test, on a busy machine

// rocketmqtt prepares the binary with args, in an empty directory. It is killed at the end of the test.
func rocketmqtt(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), asMain)
	cmd.Dir = t.TempDir()
	return cmd
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return 0
}

func TestCommandLine(t *testing.T) {
	conf := t.TempDir()
	if err := os.WriteFile(filepath.Join(conf, "connect.conf"), []byte("maxConn=7\nmqtPort=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		env    string
		code   int
		stdout string // part of it
		stderr string
	}{
		{"version", []string{"version"}, "", 0, "rocketmqtt ", ""},
		{"help", []string{"--help"}, "", 0, "Run the broker (the default).", ""},
		{"check", []string{"check", "--conf", conf, "--set", "mqttPort=9"}, "", 0, "= 9 ", ""},
		{"check names the line", []string{"check", "--conf", conf}, "", 0, "connect.conf:1", ""},
		{"check warns", []string{"check", "--conf", conf}, "", 0, "did you mean mqttPort?", ""},
		{"check takes the directory from the environment", []string{"check"}, "ROCKETMQTT_CONF=" + conf, 0, "connect.conf:1", ""},
		{"check, environment", []string{"check"}, "ROCKETMQTT_MAX_CONN=8", 0, "# ROCKETMQTT_MAX_CONN", ""},
		{"check keeps commas", []string{"check", "--set", "staticFirstTopics=a,b"}, "", 0, "= a,b ", ""},
		{"check, RocketMQ", []string{"check", "--set", "NAMESRV_ADDR=h:1"}, "", 0, "= rocketmq ", ""},
		{"check, data directory", []string{"check", "--data-dir", "/d"}, "", 0, "# --data-dir", ""},
		{"check finds a mistake", []string{"check", "--set", "maxConn=x"}, "", 1, "", `maxConn="x": want a whole number`},
		{"serve finds a mistake", []string{"serve", "--set", "maxConn=x"}, "", 2, "", `maxConn="x": want a whole number`},
		{"serve refuses to be open", []string{"--set", "bindAddress=*"}, "", 2, "", "allowAnonymous=true"},
		{"serve warns before it gives up", []string{"--conf", conf, "--set", "maxConn=x"}, "", 2, "", "did you mean mqttPort?"},
		{"serve cannot use the data directory", []string{"--data-dir", "/dev/null/x", "--set", "mqttPort=0", "--set", "mqttWsPort=0", "--set", "exporterPort=off"}, "", 1, "", "/dev/null"},
		{"unknown command", []string{"bogus"}, "", 2, "", "bogus"},
		{"unknown flag", []string{"serve", "--bogus"}, "", 2, "", "--bogus"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := rocketmqtt(t, tt.args...)
			if tt.env != "" {
				cmd.Env = append(cmd.Env, tt.env)
			}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if code := exitCode(t, cmd.Run()); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stdout:\n%s\nstderr:\n%s", stdout.String(), stderr.String())
			}
		})
	}
}

// waitFor reads lines until one holds text.
func waitFor(t *testing.T, lines *bufio.Scanner, text string) string {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text()
		}
	}
	t.Fatalf("the log ended without %q: %v", text, lines.Err())
	return ""
}

// serve is ready, says so, and ends with 0 after either signal.
func TestServeStopsOnSignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			cmd := rocketmqtt(t, "serve", "--set", "mqttPort=0", "--set", "mqttWsPort=0", "--set", "exporterPort=off", "--set", "localAddress=node-a", "--set", "metaAddr=x")
			log, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(log)
			waitFor(t, lines, "metaAddr (--set)")
			if l := waitFor(t, lines, "msg=ready"); !strings.Contains(l, "node=node-a") {
				t.Errorf("no label of the node in %s", l)
			}
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			waitFor(t, lines, "msg=stopped")
			if _, err := io.Copy(io.Discard, log); err != nil {
				t.Fatal(err)
			}
			if code := exitCode(t, cmd.Wait()); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// A port for metrics that somebody else has is a reason not to start, and the message says what to change.
func TestMetricsPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := rocketmqtt(t, "serve", "--set", "mqttPort=0", "--set", "mqttWsPort=0", "--set", "exporterPort="+port)
	out, err := cmd.CombinedOutput()
	if code := exitCode(t, err); code != exitFailed || !strings.Contains(string(out), "set exporterPort to a free one, or to off") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if strings.Contains(string(out), "msg=ready") {
		t.Errorf("it served all the same:\n%s", out)
	}
}

// The first signal stops gracefully, its echo is not a second one, and the second one does not wait.
func TestSecondSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals, quit := make(chan os.Signal), make(chan struct{})
		stopped, code := 0, -1
		go obey(signals, quit, slog.New(slog.DiscardHandler), func() { stopped++ }, func(c int) { code = c })
		for _, step := range []struct {
			after time.Duration
			code  int
		}{{0, -1}, {0, -1}, {echo - time.Millisecond, -1}, {time.Millisecond, exitFailed}} {
			<-time.After(step.after) // of the bubble's clock
			signals <- syscall.SIGTERM
			synctest.Wait()
			if stopped != 1 || code != step.code {
				t.Fatalf("after %v: stopped %d times, exit code %d, want %d", step.after, stopped, code, step.code)
			}
		}
	})
}
