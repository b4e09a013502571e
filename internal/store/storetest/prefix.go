package storetest

import (
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// prefixed is a store as it looks from below one first level: topics and filters get it on their way in, and lose it on
// their way out. Messages of other first levels are not seen.
type prefixed struct {
	store.Store
	level string // with its slash
}

// path is name as the store has it.
func (f *fixture) path(name string) string {
	if f.backend.Prefix == "" {
		return name
	}
	return f.backend.Prefix + "/" + name
}

// seen returns recs without the level, and without those of others. It writes nothing to recs.
func (p *prefixed) seen(recs []store.Record) []store.Record {
	var out []store.Record
	for _, r := range recs {
		var ours bool
		if r.Topic, ours = strings.CutPrefix(r.Topic, p.level); ours {
			out = append(out, r)
		}
	}
	return out
}

func (p *prefixed) Append(m *store.Message, done store.Completion, token uint64) {
	inner := *m
	inner.Topic = p.level + m.Topic
	p.Store.Append(&inner, done, token)
}

func (p *prefixed) Follow(sink func(batch []store.Record)) {
	p.Store.Follow(func(batch []store.Record) {
		if ours := p.seen(batch); len(ours) > 0 {
			sink(ours)
		}
	})
}

func (p *prefixed) Watch(filter string) ([]store.Position, error) {
	return p.Store.Watch(p.level + filter)
}

func (p *prefixed) Unwatch(filter string) { p.Store.Unwatch(p.level + filter) }

func (p *prefixed) Queues(filter string) []store.Queue { return p.Store.Queues(p.level + filter) }

func (p *prefixed) Read(from store.Position, q *store.Query, maxBytes int) ([]store.Record, int64, int64, error) {
	inner := &store.Query{Match: func(topic string) bool {
		rest, ours := strings.CutPrefix(topic, p.level)
		return ours && q.Match(rest)
	}}
	for _, filter := range q.Filters {
		inner.Filters = append(inner.Filters, p.level+filter)
	}
	recs, next, missed, err := p.Store.Read(from, inner, maxBytes)
	return p.seen(recs), next, missed, err
}

func (p *prefixed) Get(at store.Position) (store.Record, error) {
	rec, err := p.Store.Get(at)
	rec.Topic = strings.TrimPrefix(rec.Topic, p.level)
	return rec, err
}

func (p *prefixed) Retained(filter, after string, at []store.Position, maxBytes int) ([]store.Record, string, error) {
	recs, next, err := p.Store.Retained(p.level+filter, after, at, maxBytes)
	return p.seen(recs), next, err
}
