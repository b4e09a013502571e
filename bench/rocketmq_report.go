package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/rocketmq"
)

// What is wanted in front of RocketMQ.
const (
	overBare    = time.Millisecond // what delivery may take longer than without MQTT
	ofSingles   = 4.0              // times what single sends store
	ofBatches   = 0.5              // and what batches do
	ofEmbedded  = 0.8              // times what the embedded store replays
	aConnect    = 5 * time.Millisecond
	javaFigures = "Elsewhere, on other machines and not in this run, the Java proxy (apache/rocketmq-mqtt) was measured with 1,200 to 4,000 QoS 1 publishes a second, " +
		"and with a median of 18 ms from publisher to subscriber at 200 messages/s."
)

// frontReport is what RESULTS.md says of RocketMQ.
func frontReport(t *table, m *machine, o options) string {
	var b strings.Builder
	b.WriteString(frontHeading + "\nWritten by `make bench` as well; `go -C bench run . -run rocketmq` does this part alone.\n")
	unfinished(&b, t)
	frontSetting(&b, t, m, o)
	frontGoals(&b, t)
	for _, s := range t.scenarios {
		section(&b, t, s)
	}
	return b.String()
}

func frontSetting(b *strings.Builder, t *table, m *machine, o options) {
	fmt.Fprintf(b, "\n%s, %s, %d processors (%s), %s; load average %s before, %s after. Disk: %s; fdatasync: median %s µs.\n",
		m.began.Format("2006-01-02"), m.kernel, runtime.NumCPU(), m.cpu, runtime.Version(), m.before, m.after,
		m.disk, number(float64(m.fsync.Quantile(0.5))/float64(time.Microsecond)))
	fmt.Fprintf(b, "RocketMQ %s: a name server and one broker with its own defaults, G1 and a heap of 2 GB; topics of %d queues. rocketmqtt %s: processes of their own, the meta module off where nothing is retained.\n",
		rocketmq.Version, rocketmq.Queues, m.versions["rocketmqtt"])
	fmt.Fprintf(b, "%d round(s), each figure over %s (latency: %s) after %s of warm-up; payloads of %d bytes, to which a proxy adds %d bytes of properties. All of it shares the processors.\n\n",
		o.rounds, o.measure, longer*o.measure, warmup, frontPayload, t.properties)
	b.WriteString("The bare client is the package of this repository that speaks RocketMQ's protocol, in the generator's process: *generator* is its processor time there.\n" +
		"*CPU* and *memory* are those of the proxies. " + javaFigures + "\n")
}

// frontGoals says which hold.
func frontGoals(b *strings.Builder, t *table) {
	var lines []string
	line := func(s scenario, what string, want, here float64, holds bool) {
		lines = append(lines, fmt.Sprintf("| %s: %s | %s | %s | %s |\n", s.title, what, number(want), number(here), yes(holds)))
	}
	s, here := t.median("rocketmq-latency", peer.Ours)
	if _, without := t.median(s.name, bareClient); here > 0 && without > 0 {
		most := without + float64(overBare/time.Microsecond)
		line(s, fmt.Sprintf("at most the bare client's and %s (µs)", overBare), most, here, here <= most)
	}
	for _, name := range []string{"rocketmq-qos1", "rocketmq-sync"} {
		s, here := t.median(name, peer.Ours)
		atLeast := func(factor float64, row string) {
			if _, theirs := t.median(name, row); here > 0 && theirs > 0 {
				line(s, fmt.Sprintf("at least %v x %s", factor, row), factor*theirs, here, here >= factor*theirs)
			}
		}
		for _, under := range singleUnder() {
			atLeast(ofSingles, singleSends(under))
		}
		atLeast(ofBatches, batches)
	}
	for _, row := range []string{peer.Ours, resumedRow} {
		if s, here := t.median("rocketmq-connect", row); here > 0 {
			most := float64(aConnect / time.Microsecond)
			line(s, fmt.Sprintf("%s: less than %s (µs)", row, aConnect), most, here, here < most)
		}
	}
	s, here = t.median("rocketmq-retained", peer.Ours)
	if _, own := t.median(s.name, embedded); here > 0 && own > 0 {
		line(s, fmt.Sprintf("at least %v x %s", ofEmbedded, embedded), ofEmbedded*own, here, here >= ofEmbedded*own)
	}
	if len(lines) > 0 {
		b.WriteString("\n| goal | wanted | here | holds |\n| --- | --- | --- | --- |\n" + strings.Join(lines, ""))
	}
}
