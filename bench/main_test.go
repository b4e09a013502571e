package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
)

// The command as a user runs it, on the real broker: it measures, writes a table with figures, loses nothing and leaves nothing.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(t.TempDir(), "RESULTS.md")
	o := options{
		rounds: 2, measure: 100 * time.Millisecond, budget: 5 * time.Minute, filter: "1to1", brokers: "rocketmqtt,rocketmqtt async",
		out: out, dir: dir, module: ".",
	}
	if err := compare(o); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	row := regexp.MustCompile(`(?m)^\| rocketmqtt \| ([\d.,]+) \([\d.,]+ to [\d.,]+\) \| 1\.00 \| [\d.,-]+ \| [\d.,]+ \| [\d% -]+ \| [\d% -]+ \| none \|$`)
	if n := len(row.FindAllString(text, -1)); n != 3 {
		t.Errorf("%d rows of ours, want one for each QoS:\n%s", n, text)
	}
	if n := strings.Count(text, "\n| rocketmqtt async | "); n != 3 {
		t.Errorf("%d rows without fsync, want one among the brokers and two for QoS 1 and 2:\n%s", n, text)
	}
	for _, must := range []string{"fdatasync", "## QoS 2, one to one", "before PUBACK", "| QoS 0, one to one | deliveries/s | "} {
		if !strings.Contains(text, must) {
			t.Errorf("%q is not there:\n%s", must, text)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// All scenarios, on the real broker, with the least that they can be run with.
func TestScenarios(t *testing.T) {
	base := t.TempDir()
	kinds, err := chosen("rocketmqtt")
	if err != nil {
		t.Fatal(err)
	}
	if err := build(".", base, kinds); err != nil {
		t.Fatal(err)
	}
	b := &bench{quick: true, measure: 100 * time.Millisecond, programs: base, base: base}
	for _, s := range scenarios() {
		o, err := b.try(s, kinds[0])
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		f := o.faults
		if !s.durable && s.name != "offline" {
			f.Lost = 0 // QoS 0 may be lost
		}
		if !f.None() || o.value <= 0 || o.memory <= 0 {
			t.Errorf("%s: %v, %d bytes,%s", s.name, o.value, o.memory, faultText(o.faults))
		}
	}
}

func TestBrokersAreNamed(t *testing.T) {
	if _, err := chosen("vernemq"); err == nil || !strings.Contains(err.Error(), "NATS sync") {
		t.Errorf("an unknown broker: %v", err)
	}
	for _, s := range scenarios() {
		if len(matching(s.name)) == 0 || s.title == "" || s.about == "" || s.run == nil {
			t.Errorf("%+v", s)
		}
	}
}

func TestGoalsNameScenarios(t *testing.T) {
	for _, g := range wanted() {
		if len(matching(g.scenario)) != 1 {
			t.Errorf("%s", g.scenario)
		}
	}
}

func TestNumber(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	f(0, "0.00")
	f(9.876, "9.88")
	f(98.76, "98.8")
	f(987.6, "988")
	f(1234.5, "1,234")
	f(1234567, "1,234,567")
}

func TestRatio(t *testing.T) {
	f := func(u unit, theirs, ours float64, want string) {
		t.Helper()
		if got := u.ratio(theirs, ours); got != want {
			t.Errorf("%v to %v: %s, want %s", theirs, ours, got, want)
		}
	}
	f(perSecond, 2, 1, "**2.00**")
	f(perSecond, 1.01, 1, "1.01")
	f(perSecond, 1, 2, "0.50")
	f(micros, 1, 2, "**0.50**")
	f(micros, 2, 1, "2.00")
	f(micros, 0, 1, "-")
	f(micros, 1, 0, "-")
	if !perSecond.better(2, 1) || perSecond.better(1, 1) || !micros.better(1, 2) || micros.better(2, 1) || micros.better(1, 1) {
		t.Error("better")
	}
}

func TestFaultText(t *testing.T) {
	if s := faultText(load.Faults{Lost: 1, Reordered: 2}); s != " 1 lost, 2 out of order" {
		t.Errorf("%q", s)
	}
}

func TestTable(t *testing.T) {
	s := scenarios()[0]
	k, err := chosen("rocketmqtt")
	if err != nil {
		t.Fatal(err)
	}
	tab := newTable(k)
	tab.scenario(s)
	tab.scenario(s)
	for _, v := range []float64{5, 1, 3} {
		tab.add(s, k[0], &outcome{value: v, faults: load.Faults{Duplicates: 1}})
	}
	rounds := tab.outcomes[s.name][k[0].Name]
	if got := of(rounds, value); got != (stats.Summary{Min: 1, Median: 3, Max: 5, N: 3}) || len(tab.scenarios) != 1 {
		t.Errorf("%+v", got)
	}
	if f := faultsOf(rounds); f.Duplicates != 3 {
		t.Errorf("%+v", f)
	}
	tab.note(s, "x")
	tab.note(s, "x")
	if len(tab.notes[s.name]) != 1 {
		t.Error("a note is there twice")
	}
}
