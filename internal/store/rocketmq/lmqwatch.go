package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
)

const (
	lmqInterval  = 5 * time.Second  // between looks at the registered wildcards, as the Java proxy's, and at the group of Java proxies
	lmqLinger    = 10 * time.Minute // that light queues are written after Java proxies were last seen: clients of theirs come back
	lmqPatient   = 4 * time.Second  // for the answers of one look
	maxWildcards = 1000             // of one first level
	maxWildFirst = 1 << 12          // first levels that have some

	javaGroup    = "CID_RMQ_SYS_mqtt_event" // of which each Java proxy is a member (org.apache.rocketmq.mqtt.ds.notify.NotifyManager)
	lmqNamespace = "LMQ"                    // of the name servers' KV config (org.apache.rocketmq.mqtt.ds.meta.MetaPersistManagerSample)
)

// lmqWatch is what the goroutine that looks after light queues remembers; Open's before that.
type lmqWatch struct {
	seen    time.Time       // when Java proxies were last seen
	blind   bool            // brokers do not tell the members of a group, and it was logged
	lost    bool            // the registered wildcards cannot be read, and it was logged
	left    int             // wildcards that were left out, as it was logged
	checked map[string]bool // brokers whose version and settings were looked at
	warned  map[string]bool // those of them that something was said of, if there was something to say
}

// open looks once, before the first publish. An error: light queues are to be written, and their names are not known yet.
func (l *lmqs) open(ctx context.Context) error {
	if l.s.opts.LMQDispatch == LMQNever {
		return nil
	}
	err := l.look(ctx)
	if l.s.opts.LMQDispatch == LMQAlways {
		return err
	}
	return nil // the next look does it
}

// watch looks every lmqInterval, until the store closes.
func (l *lmqs) watch() {
	t := time.NewTicker(lmqInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = l.look(l.s.ctx) // logged; what was known is used
		case <-l.s.ctx.Done():
			return
		}
	}
}

// look finds out whether light queues are to be written, and to which.
func (l *lmqs) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lmqPatient)
	defer cancel()
	l.lookBrokers(ctx)
	var members []string
	if l.s.opts.LMQDispatch == LMQAuto {
		if members = l.members(ctx); !l.wanted(members) {
			return nil
		}
	}
	table, err := l.s.client.ListKV(ctx, lmqNamespace)
	if err != nil && !errors.Is(err, remoting.ErrNotFound) {
		l.noteLost(err)
		return fmt.Errorf("wildcards that are registered for Java proxies: %w", err)
	}
	l.noteLost(nil)
	wild, left := readWildcards(table)
	l.noteLeft(left)
	l.warnBrokers()
	if l.table.Swap(&wild) == nil && len(members) > 0 {
		l.s.log.Info("Java proxies share this RocketMQ: from now on messages are in light queues for their clients too, and sent one by one; lmqDispatch=never does without",
			"proxies", len(members), "one", members[0])
	}
	return nil
}

// wanted reports whether there are Java proxies, as members says, or were lately.
func (l *lmqs) wanted(members []string) bool {
	w := &l.watching
	on := l.table.Load() != nil
	switch {
	case len(members) > 0:
		w.seen = time.Now()
		return true
	case on && time.Since(w.seen) > lmqLinger:
		l.table.Store(nil)
		l.s.log.Info("no Java proxy has shared this RocketMQ lately: messages are sent in batches again, and not to light queues; lmqDispatch=always goes on with it", "for", lmqLinger)
		return false
	}
	return on
}

// members is the client ids of Java proxies.
func (l *lmqs) members(ctx context.Context) []string {
	var (
		mu     sync.Mutex
		all    []string
		denial error
	)
	sideBySide(l.s.masters(), func(b *broker) {
		ids, err := l.s.client.ConsumerIDs(ctx, b.addr(), javaGroup)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, ids...)
		if err != nil && denied(err) {
			denial = err
		}
	})
	if denial != nil && len(all) == 0 && !l.watching.blind {
		l.watching.blind = true
		l.s.log.Warn("brokers do not tell whether Java proxies share this RocketMQ: set lmqDispatch to always or never, or give the proxy's account the right to read the group",
			"group", javaGroup, "err", denial)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lookBrokers learns which brokers have light queues, and keep their entries: once, and again when a broker comes back.
func (l *lmqs) lookBrokers(ctx context.Context) {
	checked := map[string]bool{} // those that are not listed now are forgotten
	for _, b := range l.s.masters() {
		checked[b.name] = l.watching.checked[b.name] || l.lookBroker(ctx, b)
	}
	l.watching.checked = checked
}

// lookBroker is false when the broker does not answer; then the next look does it.
func (l *lmqs) lookBroker(ctx context.Context, b *broker) bool {
	info, err := l.s.client.BrokerRuntime(ctx, b.addr())
	if err != nil && !denied(err) {
		return false
	}
	version := info["brokerVersionDesc"]
	b.keepsLMQ.Store(keepsLMQ(version))
	b.lmq.tellsNone.Store(version != "" && !strings.HasPrefix(version, "V4_"))
	conf, err := l.s.client.BrokerConfig(ctx, b.addr()) // with access control it takes rights that this process need not have
	b.lmq.none.Store(err == nil && (conf["enableLmq"] != "true" || conf["enableMultiDispatch"] != "true"))
	return true
}

// warnBrokers says, when light queues are written, which brokers lose entries and which write none.
func (l *lmqs) warnBrokers() {
	warned := map[string]bool{}
	for _, b := range l.s.masters() {
		if warned[b.name] = l.watching.checked[b.name]; !warned[b.name] || l.watching.warned[b.name] {
			continue
		}
		if !b.keepsLMQ.Load() {
			l.s.log.Warn("a broker of 5.0 or 5.1, or one that does not tell its version, loses entries of light queues when several queues of a topic are written to at once: "+
				"one queue of each topic on it is used", "broker", b.name)
		}
		if b.lmq.none.Load() {
			l.s.log.Warn("a broker has no light queues, so clients of Java proxies get nothing from here: set enableLmq=true and enableMultiDispatch=true in its broker.conf",
				"broker", b.name)
		}
	}
	l.watching.warned = warned
}

// noteLost logs that the wildcards cannot be read, once for each outage.
func (l *lmqs) noteLost(err error) {
	w := &l.watching
	if err != nil && !w.lost && l.s.ctx.Err() == nil {
		l.s.log.Warn("the filters that are registered for Java proxies cannot be read from the name servers: those known before are used", "err", err)
	}
	w.lost = err != nil
}

func (l *lmqs) noteLeft(left int) {
	w := &l.watching
	if left > w.left {
		l.s.log.Warn("some filters in the name servers' KV config, namespace LMQ, are left out: they are no filters with a wildcard, cannot be the name of a light queue, or are too many",
			"filters", left)
	}
	w.left = left
}

// readWildcards reads the KV config of Java proxies: first level -> filters, separated by commas. left is how many were left out. A filter without a
// wildcard is the topic's own queue, which it has anyway.
func readWildcards(table map[string]string) (wild map[string][]wildcard, left int) {
	wild = map[string][]wildcard{}
	for first, filters := range table {
		if first == "ALL_FIRST_TOPICS" || first == "LMQ_CONNECT_NODES" {
			continue
		}
		list, out := readFilters(filters)
		left += out
		switch {
		case len(list) == 0:
		case len(wild) == maxWildFirst:
			left += len(list)
		default:
			wild[first] = list
		}
	}
	return wild, left
}

func readFilters(filters string) (list []wildcard, left int) {
	seen := map[string]bool{}
	for f := range strings.SplitSeq(filters, ",") {
		w, ok := newWildcard(f)
		switch {
		case !ok && strings.ContainsAny(f, "+#"), ok && len(list) == maxWildcards:
			left++
		case ok && !seen[w.name]:
			seen[w.name] = true
			list = append(list, w)
		}
	}
	return list, left
}
