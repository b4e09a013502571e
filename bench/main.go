// Command bench compares this broker with mosquitto, mochi-mqtt and NATS, and in front of RocketMQ with a client of RocketMQ, on this
// machine, in one run, and writes RESULTS.md.
//
//	go run .                all of it, at most 24 minutes
//	go run . -quick         the same in about 4 minutes, to standard output: for a look, not for figures; RocketMQ runs as in tests
//	go run . -run rocketmq  scenarios whose names contain it; what the file says of RocketMQ, or without it, stays when nothing of it is run
//	go run . -brokers rocketmqtt,NATS   those brokers only, and nothing in front of RocketMQ
//
// In every round each scenario runs with each broker in turn, in a fresh process on an empty directory; the order moves on from
// round to round. A RocketMQ runs for all rounds. It needs Linux, Go, mosquitto on the PATH, and for RocketMQ a JDK; what is missing is left
// out, with a line that says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

type options struct {
	quick   bool
	rounds  int
	measure time.Duration
	budget  time.Duration
	filter  string
	brokers string
	out     string
	dir     string
	module  string
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "one short round, to standard output")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds")
	flag.DurationVar(&o.measure, "measure", 2*time.Second, "time that one scenario is measured with one broker")
	flag.DurationVar(&o.budget, "budget", 16*time.Minute, "no scenario begins after this time; in front of RocketMQ it begins anew")
	flag.StringVar(&o.filter, "run", "", "only scenarios whose name contains this")
	flag.StringVar(&o.brokers, "brokers", "", "only these brokers, separated by commas")
	flag.StringVar(&o.out, "out", "", "file to write, or - for standard output; default RESULTS.md, with -quick -")
	flag.StringVar(&o.dir, "dir", "", "directory on the disk that is to be measured; default the system's for temporary files")
	flag.StringVar(&o.module, "module", ".", "directory of the bench's module")
	flag.Parse()
	if o.quick {
		o.rounds, o.measure = 1, min(o.measure, 500*time.Millisecond)
	}
	switch {
	case o.out != "":
	case o.quick:
		o.out = "-"
	default:
		o.out = "RESULTS.md"
	}
	if err := compare(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare builds, measures and writes.
func compare(o options) error {
	debug.SetGCPercent(1000) // the generator's loop makes no garbage; what it is set up from should not be collected meanwhile
	module, err := filepath.Abs(o.module)
	if err != nil {
		return err
	}
	o.module = module
	base, err := os.MkdirTemp(o.dir, "rocketmqtt-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(base) }()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{quick: o.quick, measure: o.measure, programs: base, base: base}
	var r results
	if all := matching(o.filter); len(all) > 0 {
		if r.brokers, err = b.brokers(ctx, all, o); err != nil {
			return err
		}
	}
	if all := inFront(o); len(all) > 0 {
		if r.front, err = b.front(ctx, all, o); err != nil {
			return err
		}
	}
	return r.write(o.out)
}

// brokers measures this broker and the others, and returns the report.
func (b *bench) brokers(ctx context.Context, all []scenario, o options) (string, error) {
	kinds, err := chosen(o.brokers)
	if err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "building")
	if err := build(o.module, b.programs, kinds); err != nil {
		return "", err
	}
	m, err := lookAround(b.base)
	if err != nil {
		return "", err
	}
	t := newTable(kinds)
	t.finished = b.rounds(ctx, t, all, o)
	m.versions = versions(o.module, kinds)
	m.after = loadAverage()
	return report(t, m, o), nil
}

func chosen(list string) ([]peer.Kind, error) {
	kinds := peer.Kinds()
	if list != "" {
		names := strings.Split(list, ",")
		kinds = slices.DeleteFunc(kinds, func(k peer.Kind) bool { return !slices.Contains(names, k.Name) })
	}
	if _, err := exec.LookPath("mosquitto"); err != nil {
		fmt.Fprintln(os.Stderr, "mosquitto is left out, for it is not on the PATH: apt-get install mosquitto")
		kinds = slices.DeleteFunc(kinds, func(k peer.Kind) bool { return k.Program == "mosquitto" })
	}
	if len(kinds) > 0 {
		return kinds, nil
	}
	var known []string
	for _, k := range peer.Kinds() {
		known = append(known, k.Name)
	}
	return nil, fmt.Errorf("-brokers %q names no broker; there are %s", list, strings.Join(known, ", "))
}

func build(module, dir string, kinds []peer.Kind) error {
	var programs []string
	for _, k := range kinds {
		programs = append(programs, k.Program)
	}
	slices.Sort(programs)
	return peer.Build(module, dir, slices.Compact(programs)...)
}

func versions(module string, kinds []peer.Kind) map[string]string {
	v := map[string]string{}
	for _, k := range kinds {
		if v[k.Program] == "" {
			v[k.Program] = peer.Version(module, k.Program)
		}
	}
	return v
}

func matching(filter string) []scenario {
	return slices.DeleteFunc(scenarios(), func(s scenario) bool { return !strings.Contains(s.name, filter) })
}

// rounds measures; false: the time was up, or the user stopped it.
func (b *bench) rounds(ctx context.Context, t *table, all []scenario, o options) bool {
	end := time.Now().Add(o.budget)
	for round := range o.rounds {
		for _, s := range all {
			t.scenario(s)
			for i := range t.kinds {
				k := t.kinds[(i+round)%len(t.kinds)]
				if k.Variant && !s.durable {
					continue
				}
				if ctx.Err() != nil || time.Now().After(end) {
					return false
				}
				note(t, s, k, round, func() (*outcome, error) { return b.try(s, k) })
			}
		}
	}
	return true
}

// note runs a scenario with a broker once. A failure is noted, and the others go on.
func note(t *table, s scenario, k peer.Kind, round int, run func() (*outcome, error)) {
	out, err := run()
	if err != nil {
		t.note(s, fmt.Sprintf("%s, round %d: %s", k.Name, round+1, firstLine(err)))
		fmt.Fprintf(os.Stderr, "%d %-12s %-16s failed: %v\n", round+1, s.name, k.Name, err)
		return
	}
	t.add(s, k, out)
	fmt.Fprintf(os.Stderr, "%d %-12s %-16s %s %s, broker %.2f µs/delivery, generator %.0f %%, others %.0f %%%s\n",
		round+1, s.name, k.Name, number(out.value), s.unit.name, out.perMsg, 100*out.generator, 100*out.others, faultText(out.faults))
}

func (b *bench) try(s scenario, k peer.Kind) (out *outcome, err error) {
	p, err := peer.Start(k, b.programs, b.base)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	return s.run(b, p)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
