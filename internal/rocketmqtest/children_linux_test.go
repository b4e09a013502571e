package rocketmqtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// childEnv makes this test binary a process that starts a cluster and waits.
const childEnv = "ROCKETMQTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

func child() int {
	c, err := Launch(Options{Version: quick})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(c.dir, c.NameServer().PID(), c.Broker(0).PID())
	_, _ = os.Stdin.Read(make([]byte, 1)) // never: it is killed
	return 0
}

// No server outlives a test process that is killed.
func TestServersDieWithTheTest(t *testing.T) {
	if !Have(t, quick) {
		return
	}
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()

	var dir string
	var pids [2]int
	if _, err := fmt.Sscan(strings.TrimSpace(line), &dir, &pids[0], &pids[1]); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for _, pid := range pids {
		eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, func() { t.Errorf("server %d outlives its test", pid) })
	}
	must(t, os.RemoveAll(dir))
}
