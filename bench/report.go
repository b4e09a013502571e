package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

// report is what RESULTS.md says of the brokers.
func report(t *table, m *machine, o options) string {
	var b strings.Builder
	b.WriteString("# Results\n\nWritten by `make bench`; [main.go](main.go) says how it is measured.\n")
	unfinished(&b, t)
	setting(&b, t, m, o)
	overview(&b, t)
	goals(&b, t, m)
	for _, s := range t.scenarios {
		section(&b, t, s)
	}
	return b.String()
}

func unfinished(b *strings.Builder, t *table) {
	if !t.finished {
		b.WriteString("\n**Not finished:** the run was ended before all rounds were done; the figures are of those that were.\n")
	}
}

func setting(b *strings.Builder, t *table, m *machine, o options) {
	us := func(q float64) string { return number(float64(m.fsync.Quantile(q)) / float64(time.Microsecond)) }
	fmt.Fprintf(b, "\n## Setting\n\n%s, %s, %d processors (%s), %s; load average %s before, %s after.\n",
		m.began.Format("2006-01-02"), m.kernel, runtime.NumCPU(), m.cpu, runtime.Version(), m.before, m.after)
	fmt.Fprintf(b, "Brokers and generator share them, over loopback. Disk: %s; fdatasync after an append of 200 bytes: median %s µs, 99th percentile %s µs.\n",
		m.disk, us(0.5), us(0.99))
	fmt.Fprintf(b, "%d round(s), each figure over %s after %s of warm-up; payloads of %d bytes; MQTT 3.1.1, clean sessions unless it says persistent.\n\n",
		o.rounds, o.measure, warmup, payload)
	b.WriteString("| broker | version | what a PUBACK promises |\n| --- | --- | --- |\n")
	for _, k := range t.kinds {
		fmt.Fprintf(b, "| %s | %s | %s |\n", k.Name, m.versions[k.Program], k.Durability)
	}
	b.WriteString(`
Limits that differ from the peers' defaults, because without that they drop messages here: mosquitto ` + "`max_queued_messages 0`, `max_inflight_messages 1024`" + `;
mochi MaximumInflight 65535, MaximumClientWritesPending 65536; NATS max_ack_pending 16000. Ours runs with its defaults.

How to read the tables:

- Figures are medians (least to greatest) over the rounds. *ratio* is the broker's median divided by ours; **bold** where it is better than ours by more than 2 %.
- *CPU* is the broker's processor time per delivery, or CONNECT, *memory* its resident memory at the end.
- *generator* is the share of one processor that the load generator, one thread, used: near 100 % it would be what is measured.
  *others* is what neither of the two used, the kernel's own work for them included: much of it means a disturbed run.
- *sent late* is how late the generator itself was, which is part of the times beside it: on a machine that others use it is most of their tails.
- *faults* are deliveries lost, twice, out of order or damaged, found by numbers in the payloads, over all rounds. A CONNECT that
  is refused or not answered is an acknowledgement that is missing, and one that is told the wrong thing of its session is wrong.
`)
}

// overview is one line a scenario: ours, and the best of the others.
func overview(b *strings.Builder, t *table) {
	b.WriteString("\n## Overview\n\n| scenario | unit | ours | best of the others | ratio of theirs |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range t.scenarios {
		ours := of(t.outcomes[s.name][peer.Ours], value)
		best, name := 0.0, "-"
		for _, k := range t.kinds {
			v := of(t.outcomes[s.name][k.Name], value)
			if k.Program == "rocketmqtt" || v.N == 0 {
				continue
			}
			if name == "-" || s.unit.better(v.Median, best) {
				best, name = v.Median, k.Name
			}
		}
		our, rival := "-", "-"
		if ours.N > 0 {
			our = number(ours.Median)
		}
		if name != "-" {
			rival = number(best) + " (" + name + ")"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", s.title, s.unit.name, our, rival, s.unit.ratio(best, ours.Median))
	}
}

func (u unit) better(a, b float64) bool { return a > b != u.smaller && a != b }

// ratio is bold where a is better than ours by more than what is noise.
func (u unit) ratio(a, ours float64) string {
	if ours <= 0 || a <= 0 {
		return "-"
	}
	r := fmt.Sprintf("%.2f", a/ours)
	if u.smaller && a/ours < 0.98 || !u.smaller && a/ours > 1.02 {
		return "**" + r + "**"
	}
	return r
}

func section(b *strings.Builder, t *table, s scenario) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", s.title, s.about)
	columns := []string{"broker", s.unit.name, "ratio", "CPU µs", "memory MiB", "generator", "others", "faults"}
	if t.front {
		columns = slices.Insert(columns, rocketmqColumn, "RocketMQ's CPU µs")
	}
	if s.latency {
		columns = append(columns, "delivery p50, p99, p99.9 µs", "ack p50, p99, p99.9 µs", "sent late p99 µs")
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	ours := of(t.outcomes[s.name][peer.Ours], value)
	for _, k := range t.kinds {
		if rounds := t.outcomes[s.name][k.Name]; len(rounds) > 0 {
			fmt.Fprintf(b, "| %s |\n", strings.Join(t.row(s, k, rounds, ours.Median), " | "))
		}
	}
	for i, n := range t.notes[s.name] {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "- %s\n", n)
	}
}

// rocketmqColumn is where RocketMQ's processor time stands, in tables that have it.
const rocketmqColumn = 4

func (t *table) row(s scenario, k peer.Kind, rounds []*outcome, ours float64) []string {
	v := of(rounds, value)
	figure := fmt.Sprintf("%s (%s to %s)", number(v.Median), number(v.Min), number(v.Max))
	for _, o := range rounds {
		if o.short {
			figure += ", falls behind"
			break
		}
	}
	gen, rest := "-", "-"
	if g := of(rounds, generator).Median; g > 0 {
		gen, rest = percent(g), percent(of(rounds, others).Median)
	}
	faults := strings.TrimSpace(faultText(faultsOf(rounds)))
	if faults == "" {
		faults = "none"
	}
	cells := []string{k.Name, figure, s.unit.ratio(v.Median, ours), some(of(rounds, perMsg).Median), some(of(rounds, memory).Median), gen, rest, faults}
	if t.front {
		cells = slices.Insert(cells, rocketmqColumn, number(of(rounds, rocketmqMsg).Median))
	}
	if s.latency {
		cells = append(cells, times(rounds, false), times(rounds, true), number(of(rounds, quantile(behindOf, 0.99)).Median))
	}
	return cells
}

func times(rounds []*outcome, ack bool) string {
	h := latencyOf
	if ack {
		h = ackOf
	}
	if h(rounds[0]).N() == 0 {
		return "-"
	}
	var s []string
	for _, q := range []float64{0.5, 0.99, 0.999} {
		s = append(s, number(of(rounds, quantile(h, q)).Median))
	}
	return strings.Join(s, ", ")
}

// some is a figure that some rows do not have.
func some(v float64) string {
	if v == 0 {
		return "-"
	}
	return number(v)
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
