package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
)

// table is all that was measured.
type table struct {
	kinds     []peer.Kind
	scenarios []scenario
	outcomes  map[string]map[string][]*outcome // by scenario and broker, one a round
	notes     map[string][]string              // by scenario
	finished  bool

	front      bool // RocketMQ is behind it, and its processor time is shown too
	properties int  // mean bytes of those that proxies give the messages of a flood
}

func newTable(kinds []peer.Kind) *table {
	return &table{kinds: kinds, outcomes: map[string]map[string][]*outcome{}, notes: map[string][]string{}}
}

func (t *table) scenario(s scenario) {
	if _, ok := t.outcomes[s.name]; !ok {
		t.scenarios = append(t.scenarios, s)
		t.outcomes[s.name] = map[string][]*outcome{}
	}
}

func (t *table) add(s scenario, k peer.Kind, o *outcome) {
	t.outcomes[s.name][k.Name] = append(t.outcomes[s.name][k.Name], o)
}

// note keeps what is to be said once.
func (t *table) note(s scenario, text string) {
	if !slices.Contains(t.notes[s.name], text) {
		t.notes[s.name] = append(t.notes[s.name], text)
	}
}

// of summarizes one figure over the rounds.
func of(rounds []*outcome, f func(*outcome) float64) stats.Summary {
	var v []float64
	for _, o := range rounds {
		v = append(v, f(o))
	}
	return stats.Summarize(v)
}

func value(o *outcome) float64       { return o.value }
func perMsg(o *outcome) float64      { return o.perMsg }
func rocketmqMsg(o *outcome) float64 { return o.rocketmq }
func generator(o *outcome) float64   { return o.generator }
func others(o *outcome) float64      { return o.others }
func memory(o *outcome) float64      { return float64(o.memory) / (1 << 20) }

func quantile(h func(*outcome) *stats.Histogram, q float64) func(*outcome) float64 {
	return func(o *outcome) float64 { return float64(h(o).Quantile(q)) / float64(time.Microsecond) }
}

func latencyOf(o *outcome) *stats.Histogram { return &o.latency }
func ackOf(o *outcome) *stats.Histogram     { return &o.ack }
func behindOf(o *outcome) *stats.Histogram  { return &o.behind }

// faultsOf adds up over the rounds.
func faultsOf(rounds []*outcome) (f load.Faults) {
	for _, o := range rounds {
		f.Add(o.faults)
	}
	return f
}

func faultText(f load.Faults) string {
	var s []string
	say := func(n uint64, what string) {
		if n > 0 {
			s = append(s, fmt.Sprintf("%d %s", n, what))
		}
	}
	say(f.Lost, "lost")
	say(f.Duplicates, "twice")
	say(f.Reordered, "out of order")
	say(f.Damaged, "wrong")
	say(f.Unanswered, "acknowledgements wrong or missing")
	if len(s) == 0 {
		return ""
	}
	return " " + strings.Join(s, ", ")
}

// number prints a figure with three digits or more, and a comma between thousands.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
