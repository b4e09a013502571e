// Command bench compares this broker with mosquitto, mochi-mqtt and NATS on this machine, in one run, and writes RESULTS.md.
//
//	go run .              all of it, at most 15 minutes
//	go run . -quick       the same in about 2 minutes, to standard output: for a look, not for figures
//	go run . -run qos1    scenarios whose names contain it; -brokers rocketmqtt,NATS: those brokers only
//
// In every round each scenario runs with each broker in turn, in a fresh process on an empty directory; the order moves on from
// round to round. It needs Linux, Go, and mosquitto on the PATH; a broker that is missing is left out, with a line that says so.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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
	flag.DurationVar(&o.budget, "budget", 14*time.Minute, "no scenario begins after this time")
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
	base, err := os.MkdirTemp(o.dir, "rocketmqtt-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(base) }()
	kinds, err := chosen(o.brokers)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "building")
	if err := build(module, base, kinds); err != nil {
		return err
	}
	m, err := lookAround(base)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	t := &table{kinds: kinds, outcomes: map[string]map[string][]*outcome{}, notes: map[string][]string{}}
	b := &bench{quick: o.quick, measure: o.measure, programs: base, base: base}
	t.finished = b.rounds(t, matching(o.filter), o, stop)
	m.versions = versions(module, kinds)
	m.after = loadAverage()
	return write(o.out, func(w io.Writer) error { return report(w, t, m, o) })
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
func (b *bench) rounds(t *table, all []scenario, o options, stop <-chan os.Signal) bool {
	end := time.Now().Add(o.budget)
	for round := range o.rounds {
		for _, s := range all {
			t.scenario(s)
			for i := range t.kinds {
				k := t.kinds[(i+round)%len(t.kinds)]
				if k.Variant && !s.durable {
					continue
				}
				select {
				case <-stop:
					return false
				default:
				}
				if time.Now().After(end) {
					return false
				}
				b.one(t, s, k, round)
			}
		}
	}
	return true
}

// one runs a scenario with a broker once. A failure is noted, and the others go on.
func (b *bench) one(t *table, s scenario, k peer.Kind, round int) {
	out, err := b.try(s, k)
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

func write(name string, f func(io.Writer) error) error {
	if name == "-" {
		return f(os.Stdout)
	}
	var b strings.Builder
	if err := f(&b); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
