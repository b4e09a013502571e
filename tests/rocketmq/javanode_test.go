package rocketmq

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

// javaNode stands for a Java proxy: RocketMQ's own client, which does with it what one does (testdata/JavaNode.java).
type javaNode struct {
	t  *testing.T
	in io.Writer

	mu    sync.Mutex
	read  map[string][]string // bodies, by light queue, or by client and filter, as they came
	said  []string            // the last lines of what else it said
	ready bool
	done  int // commands
	asked int
}

// startJava starts one that knows first topics, which must exist.
func startJava(t *testing.T, c *rocketmqtest.Cluster, topics ...string) *javaNode {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd, err := rocketmqtest.Program(ctx, rocketmqtest.V514, "testdata/JavaNode.java", t.TempDir(), append([]string{c.Namesrv()}, topics...)...)
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	in, err := cmd.StdinPipe()
	must(t, err)
	cmd.Stderr = cmd.Stdout
	must(t, cmd.Start())
	j := &javaNode{t: t, in: in, read: map[string][]string{}}
	done := make(chan struct{})
	go func() { defer close(done); j.scan(out) }()
	t.Cleanup(func() { cancel(); <-done; _ = cmd.Wait() })
	eventually(t, "the Java client is ready", func() bool { j.mu.Lock(); defer j.mu.Unlock(); return j.ready }, j.state)
	return j
}

func (j *javaNode) scan(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		j.mu.Lock()
		switch part := strings.Split(lines.Text(), "\t"); {
		case len(part) == 3:
			j.read[part[0]] = append(j.read[part[0]], part[2])
		case len(part) == 4:
			j.read[part[0]+" "+part[1]] = append(j.read[part[0]+" "+part[1]], part[3])
		case part[0] == "ready":
			j.ready = true
		case part[0] == "done":
			j.done++
		case !strings.Contains(part[0], "|-INFO in "): // of the start of its log
			j.said = append(j.said[max(len(j.said)-50, 0):], lines.Text())
		}
		j.mu.Unlock()
	}
}

// do has it carry out a command.
func (j *javaNode) do(part ...string) {
	j.t.Helper()
	_, err := io.WriteString(j.in, strings.Join(part, "\t")+"\n")
	must(j.t, err)
	j.asked++
	eventually(j.t, strings.Join(part, " "), func() bool { j.mu.Lock(); defer j.mu.Unlock(); return j.done == j.asked }, j.state)
}

func (j *javaNode) state() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := strings.Join(j.said, "\n") + "\n"
	for from, read := range j.read {
		s += fmt.Sprintf("%s: %d messages\n", from, len(read))
	}
	return s
}

// of is what it has read of a light queue, or for a client's filter.
func (j *javaNode) of(from string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.read[from])
}

// await waits until it has these messages, and no others.
func (j *javaNode) await(from string, want []string) {
	j.t.Helper()
	eventually(j.t, from+" is read", func() bool { return len(j.of(from)) >= len(want) }, j.state)
	if got := j.of(from); !slices.Equal(got, want) {
		j.t.Errorf("%s has %d messages, %.400q, not %.400q", from, len(got), got, want)
	}
}

// awaitAll waits until a light queue has all messages of all publishers, each one's in order.
func (j *javaNode) awaitAll(lmq string, publishers, each int) {
	j.t.Helper()
	count := func() int {
		n := 0
		for _, body := range j.of(lmq) {
			if strings.HasPrefix(body, "p") && body != "p2p" {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithTimeout(j.t.Context(), patience)
	defer cancel()
	check.Poll(ctx, func() bool { return count() >= publishers*each })
	next := make([]int, publishers)
	for _, body := range j.of(lmq) {
		var p, i int
		if _, err := fmt.Sscanf(body, "p%d %d", &p, &i); err != nil {
			continue
		}
		if i != next[p] {
			j.t.Fatalf("%s: message %d of publisher %d came, not %d", lmq, i, p, next[p])
		}
		next[p]++
	}
	for p, n := range next {
		if n != each {
			j.t.Errorf("%s: %d of %d messages of publisher %d", lmq, n, each, p)
		}
	}
}
