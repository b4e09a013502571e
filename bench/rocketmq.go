package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/rocketmq"
)

// comparison is a scenario in front of RocketMQ, with those that are compared: ours first.
type comparison struct {
	scenario
	sync    bool // the broker has flushDiskType=SYNC_FLUSH
	senders []sender
}

// sender is one row.
type sender struct {
	name string
	run  func(f *front) (*outcome, error)
}

// front is what senders are measured in front of.
type front struct {
	*bench
	cluster   *rocketmq.Cluster
	published []rocketmq.Message // what the proxies store of the publishers' messages: the bare client sends the same
}

// inFront is what is to be run. It needs a JDK; without, a line says so.
func inFront(o options) []comparison {
	if o.brokers != "" {
		return nil
	}
	all := slices.DeleteFunc(comparisons(), func(c comparison) bool { return !strings.Contains(c.name, o.filter) })
	if len(all) == 0 {
		return nil
	}
	if err := rocketmq.Missing(); err != nil {
		fmt.Fprintln(os.Stderr, "RocketMQ is left out:", err)
		return nil
	}
	return all
}

// front measures in front of RocketMQ, and returns the report. Brokers that flush in different ways run one after the other.
func (b *bench) front(ctx context.Context, all []comparison, o options) (string, error) {
	fmt.Fprintln(os.Stderr, "building, and starting RocketMQ", rocketmq.Version)
	if err := peer.Build(o.module, b.programs, "rocketmqtt"); err != nil {
		return "", err
	}
	m, err := lookAround(b.base)
	if err != nil {
		return "", err
	}
	t := newTable(sendersOf(all))
	t.front, t.finished = true, true
	end := time.Now().Add(o.budget)
	for _, sync := range []bool{false, true} {
		some := slices.DeleteFunc(slices.Clone(all), func(c comparison) bool { return c.sync != sync })
		if len(some) == 0 || !t.finished {
			continue
		}
		if err := b.behind(sync, func(f *front) {
			t.properties = rocketmq.PropertyBytes(f.published)
			t.finished = f.rounds(ctx, t, some, o.rounds, end)
		}); err != nil {
			return "", err
		}
	}
	m.versions = map[string]string{"rocketmqtt": peer.Version(o.module, "rocketmqtt")}
	m.after = loadAverage()
	return frontReport(t, m, o), nil
}

// sendersOf is all of them once, for the order of the rows.
func sendersOf(all []comparison) (kinds []peer.Kind) {
	for _, c := range all {
		for _, s := range c.senders {
			if !slices.ContainsFunc(kinds, func(k peer.Kind) bool { return k.Name == s.name }) {
				kinds = append(kinds, peer.Kind{Name: s.name})
			}
		}
	}
	return kinds
}

// behind runs f with a RocketMQ that is warm.
func (b *bench) behind(sync bool, f func(*front)) (err error) {
	cluster, err := rocketmq.Start(b.base, sync, !b.quick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	fr := &front{bench: b, cluster: cluster}
	if err := fr.publishOnce(); err != nil {
		return fmt.Errorf("see what a proxy stores: %w", err)
	}
	if err := fr.warm(); err != nil {
		return fmt.Errorf("warm up RocketMQ: %w", err)
	}
	f(fr)
	return nil
}

// warm has Java compile what is going to be measured: sends of one message, of many, and pulls.
func (f *front) warm() error {
	long := min(5*f.measure, 10*time.Second)
	for _, size := range []int{1, batchSize} {
		if _, err := f.cluster.Flood(rocketmq.Flood{Under: 64, Batch: size, Messages: f.published, Measure: long}); err != nil {
			return err
		}
	}
	_, err := f.cluster.Tail(rocketmq.Tail{Rate: 10 * frontRate, Payload: frontPayload, Measure: long})
	return err
}

// publishOnce has a proxy store one message of each publisher, and keeps what it has made of them.
func (f *front) publishOnce() error {
	_, err := f.proxies(1, func(p []*peer.Process) (*outcome, error) {
		s := publishers(p)
		s.Total, s.Patience = len(s.Publishers), patience
		r, err := load.Run(s)
		if err == nil && !r.None() {
			err = fmt.Errorf("%+v", r.Faults)
		}
		return nil, err
	})
	if err != nil {
		return err
	}
	f.published, err = f.cluster.Published(frontPublishers)
	return err
}

// rounds measures; false: the time was up, or the user stopped it.
func (f *front) rounds(ctx context.Context, t *table, all []comparison, rounds int, end time.Time) bool {
	for round := range rounds {
		for _, c := range all {
			t.scenario(c.scenario)
			for i := range c.senders {
				s := c.senders[(i+round)%len(c.senders)]
				if ctx.Err() != nil || time.Now().After(end) {
					return false
				}
				note(t, c.scenario, peer.Kind{Name: s.name}, round, func() (*outcome, error) { return f.try(s) })
			}
		}
	}
	return true
}

func (f *front) try(s sender) (*outcome, error) {
	if err := f.cluster.Settle(); err != nil {
		return nil, err
	}
	return s.run(f)
}
