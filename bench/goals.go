package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

// goal is what our figure must reach: factor times that of another broker, in the same run.
type goal struct {
	scenario string
	broker   string
	factor   float64
}

func wanted() []goal {
	return []goal{
		{"qos0-1to1", "mochi", 1.5},
		{"qos1-4to4", "mosquitto", 1},
		{"fanout", "NATS", 1},
		{"filters", "NATS", 1},
		{"retained", "NATS", 1},
		{"offline", "NATS", 1},
	}
}

// overSync is what a durable PUBACK may take beyond what the disk takes.
const overSync = 300 * time.Microsecond

// goals says which hold.
func goals(b *strings.Builder, t *table, m *machine) {
	b.WriteString("\n## Goals\n\n| goal | wanted | here | holds |\n| --- | --- | --- | --- |\n")
	for _, g := range wanted() {
		s, ours := t.median(g.scenario, peer.Ours)
		_, theirs := t.median(g.scenario, g.broker)
		if ours == 0 || theirs == 0 {
			continue
		}
		what := g.broker
		if g.factor != 1 {
			what = fmt.Sprintf("%v x %s", g.factor, g.broker)
		}
		fmt.Fprintf(b, "| %s: at least %s | %s | %s | %s |\n", s.title, what, number(g.factor*theirs), number(ours), yes(ours >= g.factor*theirs))
	}
	if s, ours := t.median("puback", peer.Ours); ours > 0 {
		most := float64(m.fsync.Quantile(0.5)+overSync) / float64(time.Microsecond)
		fmt.Fprintf(b, "| %s: at most fdatasync and %s | %s µs | %s µs | %s |\n", s.title, overSync, number(most), number(ours), yes(ours <= most))
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "**no**"
}

// median is the figure of a broker; 0: it has none.
func (t *table) median(name, broker string) (scenario, float64) {
	for _, s := range t.scenarios {
		if s.name == name {
			return s, of(t.outcomes[name][broker], value).Median
		}
	}
	return scenario{}, 0
}
