package view

import (
	"bytes"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Keys that are a topic, of one kind each: a slash is a zero byte in them, which no topic contains. So everything below a topic follows it at once, and a
// walk for a filter jumps over what it cannot match.

// TopicKey is the key of that kind for a topic.
func TopicKey(kind byte, name string) []byte {
	b := append(make([]byte, 0, len(name)+1), kind)
	for i := range len(name) {
		if name[i] == '/' {
			b = append(b, 0)
		} else {
			b = append(b, name[i])
		}
	}
	return b
}

// WalkTopics calls take with the values of the topics that filter (without $share) matches, in the order of their keys, from behind after on; "" is the first. It
// returns where to go on, "" at the end: after take has said that it is full, which leaves that topic to the next walk, or when so many keys were looked at.
// What it costs follows what matches: for each "+" the values of that level are visited, and below them only what may match. The value is valid
// during the call; it must be bounded to the kind.
func WalkTopics(it *pebble.Iterator, kind byte, filter, after string, steps int, take func(value []byte) (full bool, err error)) (next string, err error) {
	f := newTopicFilter(filter)
	w := walk{it: it, kind: kind, last: []byte(after)}
	from := f.below(nil, 0)
	if after != "" {
		from = append([]byte(after), 0)
	}
	more := w.seek(from)
	for range steps {
		if !more {
			return "", it.Error()
		}
		key := it.Key()[1:]
		match, jump := f.look(key)
		if match {
			value, err := it.ValueAndErr()
			if err != nil {
				return string(w.last), err
			}
			if full, err := take(value); full || err != nil {
				return string(w.last), err
			}
		}
		if jump == nil {
			return "", nil
		}
		w.last = append(w.last[:0], key...)
		more = w.jump(jump)
	}
	return string(w.last), nil
}

// walk is one call of WalkTopics.
type walk struct {
	it   *pebble.Iterator
	kind byte
	last []byte // the topic that was looked at last
	key  []byte // memory of seek
}

// seek goes to the first topic that is not below to.
func (w *walk) seek(to []byte) bool {
	w.key = append(append(w.key[:0], w.kind), to...)
	return w.it.SeekGE(w.key)
}

// jump goes on to the first topic that is not below to. Mostly that is the next one, which costs a part of what it takes to seek.
func (w *walk) jump(to []byte) bool {
	return w.it.Next() && (bytes.Compare(w.it.Key()[1:], to) >= 0 || w.seek(to))
}

// topicFilter finds its way through keys of topics, level by level.
type topicFilter struct {
	levels [][]byte // without a last "#"
	deep   bool     // there was one
	memory []byte   // of what below, beside and look return: valid until the next call
}

func newTopicFilter(filter string) (f topicFilter) {
	for level := range strings.SplitSeq(filter, "/") {
		f.levels = append(f.levels, []byte(level))
	}
	if last := len(f.levels) - 1; string(f.levels[last]) == "#" {
		f.levels, f.deep = f.levels[:last], true
	}
	return f
}

// any says that level i takes every value.
func (f *topicFilter) any(i int) bool { return len(f.levels[i]) == 1 && f.levels[i][0] == '+' }

// look compares key, a topic in the form of keys. jump is the smallest key behind it that can match; nil: there is none.
func (f *topicFilter) look(key []byte) (match bool, jump []byte) {
	if key[0] == '$' && (len(f.levels) == 0 || f.any(0)) { // [MQTT-4.7.2-1]
		return false, []byte{'$' + 1}
	}
	start := 0 // of level i in key
	for i, want := range f.levels {
		if start > len(key) { // key has fewer levels
			return false, f.below(key, i)
		}
		end := levelEnd(key, start)
		if !f.any(i) {
			switch bytes.Compare(key[start:end], want) {
			case -1:
				return false, f.below(key[:max(start-1, 0)], i)
			case 1:
				return false, f.beside(key, i)
			}
		}
		start = end + 1
	}
	if f.deep {
		return true, f.remember(key, 0)
	}
	return start > len(key), f.beside(key, len(f.levels))
}

// levelEnd is where the level that begins at start ends.
func levelEnd(key []byte, start int) int {
	if n := bytes.IndexByte(key[start:], 0); n >= 0 {
		return start + n
	}
	return len(key)
}

// below is the smallest key that can match among those below prefix, which has i levels.
func (f *topicFilter) below(prefix []byte, i int) []byte {
	f.memory = append(f.memory[:0], prefix...)
	for ; i < len(f.levels); i++ {
		if i > 0 {
			f.memory = append(f.memory, 0)
		}
		if f.any(i) {
			break
		}
		f.memory = append(f.memory, f.levels[i]...)
	}
	return f.memory
}

// beside is the smallest key that has another value in the last level before i that takes any; nil: there is none.
func (f *topicFilter) beside(key []byte, i int) []byte {
	for i--; i >= 0 && !f.any(i); i-- {
	}
	if i < 0 {
		return nil
	}
	end := levelEnd(key, 0)
	for range i {
		end = levelEnd(key, end+1)
	}
	return f.remember(key[:end], 1)
}

// remember is key, and b behind it.
func (f *topicFilter) remember(key []byte, b byte) []byte {
	f.memory = append(append(f.memory[:0], key...), b)
	return f.memory
}
