package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/rocketmq"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// The command in front of a real RocketMQ: every row is there, nothing is lost, and what the file says of the brokers stays. How fast it is
// is not asked: others use the machine.
func TestRocketMQ(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmq.Version) {
		return
	}
	dir := t.TempDir()
	out := filepath.Join(t.TempDir(), "RESULTS.md")
	const kept = "# Results\n\nof last week\n"
	if err := os.WriteFile(out, []byte(kept+"\n"+frontHeading+"\nof last week too\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{quick: true, rounds: 2, measure: 200 * time.Millisecond, budget: 5 * time.Minute, filter: "rocketmq-", out: out, dir: dir, module: "."}
	if err := compare(o); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if !strings.HasPrefix(text, kept+"\n"+frontHeading) || strings.Contains(text, "too") {
		t.Errorf("not one part kept and one written anew:\n%s", text)
	}
	for _, c := range comparisons() {
		_, after, _ := strings.Cut(text, "\n## "+c.title+"\n")
		part, _, _ := strings.Cut(after, "\n## ")
		for _, s := range c.senders {
			row := regexp.MustCompile(`(?m)^\| ` + s.name + ` \| [\d.,]*[1-9][\d.,]* \(`)
			if !row.MatchString(part) {
				t.Errorf("%s: no row of %s with a figure:\n%s", c.name, s.name, part)
			}
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| "+peer.Ours) && regexp.MustCompile(`lost|twice|out of order|wrong \|`).MatchString(line) {
			t.Errorf("faults: %s", line)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// What is not measured stays in the file, in any order of runs.
func TestResultsAreMerged(t *testing.T) {
	out := filepath.Join(t.TempDir(), "RESULTS.md")
	f := func(r results, want string) {
		t.Helper()
		if err := r.write(out); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(out); err != nil || string(b) != want {
			t.Errorf("%q, %v, want %q", b, err, want)
		}
	}
	front := func(s string) string { return frontHeading + s + "\n" }
	f(results{front: front("1")}, front("1"))
	f(results{brokers: "# Results\n2\n"}, "# Results\n2\n\n"+front("1"))
	f(results{front: front("3")}, "# Results\n2\n\n"+front("3"))
	f(results{brokers: "4\n"}, "4\n\n"+front("3"))
	f(results{brokers: "5\n", front: front("5")}, "5\n\n"+front("5"))
	if err := (results{}).write(out); err == nil {
		t.Error("nothing was measured, and it is written")
	}
}

// The goals hold or not by the medians of their rows.
func TestFrontGoals(t *testing.T) {
	all := comparisons()
	tab := newTable(sendersOf(all))
	for _, c := range all {
		tab.scenario(c.scenario)
	}
	text := func() string {
		var b strings.Builder
		frontGoals(&b, tab)
		return b.String()
	}
	if s := text(); s != "" {
		t.Errorf("goals without figures: %s", s)
	}
	add := func(c comparison, name string, v float64) {
		tab.add(c.scenario, peer.Kind{Name: name}, &outcome{value: v})
	}
	add(all[0], peer.Ours, 1999)
	add(all[0], bareClient, 1000)
	add(all[1], peer.Ours, 100)
	add(all[1], singleSends(16), 24)
	add(all[1], singleSends(256), 26)
	add(all[1], batches, 200)
	add(all[2], peer.Ours, 100)
	add(all[2], singleSends(64), 25)
	add(all[3], peer.Ours, 4999)
	add(all[3], resumedRow, 5000)
	add(all[5], peer.Ours, 79)
	add(all[5], embedded, 100)
	s := text()
	for _, want := range []string{
		"(µs) | 2,000 | 1,999 | yes |", "publishes: at least 4 x bare sends, 16 under way | 96.0 | 100 | yes |",
		"sends, 256 under way | 104 | 100 | **no** |", "SYNC_FLUSH: at least 4 x bare sends, 64 under way | 100 | 100 | yes |", "batches | 100 | 100 | yes |",
		"rocketmqtt: less than 5ms (µs) | 5,000 | 4,999 | yes |", "resumed: less than 5ms (µs) | 5,000 | 5,000 | **no** |",
		"messages: at least 0.8 x embedded store | 80.0 | 79.0 | **no** |",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not there:\n%s", want, s)
		}
	}
}
