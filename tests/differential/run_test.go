package differential

import (
	"fmt"
	"strings"
	"time"
)

// pair is the two brokers.
type pair struct {
	mosquitto, ours *side
	runs            int
	used            map[string]int // rule -> steps in which it allowed something
}

// result is how a script ended: without differences all of it was run.
type result struct {
	differences []difference
	transcript  string
}

// run runs a script up to its first step that differs. patience is how long to wait for what must come. An error means
// that the brokers are of no more use.
func (p *pair) run(sc *script, patience time.Duration) (result, error) {
	p.runs++
	p.mosquitto.reset(p.runs, sc, patience)
	p.ours.reset(p.runs, sc, patience)
	m := newModel(sc)
	var r result
	var b strings.Builder
	i := 0
	for _, st := range sc.steps {
		st, ok := m.begin(i, st)
		if !ok {
			continue
		}
		o := outcome{model: m, i: i, step: st}
		r.differences = p.step(&o)
		fmt.Fprintf(&b, "%s\n", st)
		write(&b, "mosquitto ", &o.mosquitto)
		write(&b, "rocketmqtt", &o.ours)
		if len(r.differences) > 0 {
			break
		}
		i++
	}
	r.transcript = b.String()
	if err := p.mosquitto.leave(); err != nil {
		return r, err
	}
	return r, p.ours.leave()
}

// step does one step at both and lets them settle.
//
// mosquitto settles first: it has one thread, and handles what a packet causes before it reads the next. So once what
// answers the step is here, a PINGRESP on a connection comes after all that it was going to be sent; only the clients'
// acknowledgements can cause more, or an end of a connection that it had not read yet. Two rounds on all connections that bring
// nothing new are its end.
//
// rocketmqtt works on several goroutines and has no such order. But by now it is known what must come. It has the time of
// patience to send that, and is not waited for longer than it takes. What it sends too much differs now or in a
// later step, the last of which makes everything come that is owed.
func (p *pair) step(o *outcome) (differences []difference) {
	theirs, mine := p.mosquitto.counts(), p.ours.counts()
	collect := func(used map[string]int) []difference {
		o.mosquitto, o.ours = p.mosquitto.since(theirs), p.ours.since(mine)
		return compare(o.clone(), used)
	}
	err := p.mosquitto.do(o.step)
	if err == nil {
		err = p.mosquitto.settle()
	}
	if err == nil {
		err = p.ours.do(o.step)
	}
	if err != nil {
		return append(collect(nil), difference{"error", err.Error()})
	}
	p.ours.waitFor(func() bool { return len(collect(nil)) == 0 })
	if err := p.ours.ping(); err != nil {
		return append(collect(nil), difference{"error", err.Error()})
	}
	return collect(p.used)
}

// settle is for mosquitto.
func (s *side) settle() error {
	for quiet := 0; quiet < 2; {
		before := s.counts()
		if err := s.ping(); err != nil {
			return err
		}
		if quiet++; s.counts() != before {
			quiet = 0
		}
	}
	return nil
}

func write(b *strings.Builder, name string, all *[clients][]packet) {
	for c := range all {
		for i := range all[c] {
			p := &all[c][i]
			fmt.Fprintf(b, "     %s c%d/%d %s\n", name, c, p.conn, p)
		}
	}
}

// clone is for compare, whose rules change it.
func (o *outcome) clone() outcome {
	c := *o
	for i := range clients {
		c.mosquitto[i] = append([]packet(nil), o.mosquitto[i]...)
		c.ours[i] = append([]packet(nil), o.ours[i]...)
	}
	return c
}
