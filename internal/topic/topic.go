// Package topic holds the rules of MQTT topic names and filters [4.7, 4.8.2] and a trie that finds the filters
// matching a name.
//
// A topic name is what a PUBLISH carries; a topic filter is what a SUBSCRIBE carries. Both are levels separated by
// '/', and a level may be empty: "a" has one level, "a/" and "/a" have two, and all three differ [MQTT-4.7.3-1].
// In a filter a level "+" stands for any one level and a last level "#" for any number of them, none included.
//
// The functions do not allocate, keep no state and hold nothing they are given. They look at bytes: that a name
// is well-formed UTF-8 is checked where packets are decoded.
//
// Names and filters of more than [MaxLevels] levels are refused. The specification sets no such limit; ours keeps
// the cost of a single name small and the depth of everything that walks levels known, where a 64 KiB name of
// nothing but slashes would otherwise be 65,536 levels deep.
package topic

import (
	"iter"
	"strings"
)

const (
	// MaxLength is the longest name or filter in bytes: the length is two bytes on the wire [MQTT-4.7.3-3].
	MaxLength = 65535
	// MaxLevels is the largest number of levels in a name or filter. It is a limit of ours, see the package comment.
	MaxLevels = 128
)

// text is a name or filter as it comes from a packet or as it is stored.
type text interface{ ~string | ~[]byte }

// ValidName tells whether b may be the topic name of a PUBLISH or a will: 1 to MaxLength bytes, at most MaxLevels
// levels, no wildcard and no U+0000. Names that begin with '$' are valid; who may use them is not decided here.
func ValidName[T text](b T) bool {
	if len(b) == 0 || len(b) > MaxLength { // [MQTT-4.7.3-1] [MQTT-4.7.3-3]
		return false
	}
	levels := 1
	for i := range len(b) {
		switch b[i] {
		case '+', '#', 0: // [MQTT-4.7.1-1] [MQTT-4.7.3-2]
			return false
		case '/':
			levels++
		}
	}
	return levels <= MaxLevels
}

// ValidFilter tells whether f may be a topic filter: 1 to MaxLength bytes, at most MaxLevels levels, no U+0000, '+'
// only as a whole level and '#' only as the whole last level. Of a shared subscription it judges the filter that
// [ParseShare] returns, not the whole.
func ValidFilter[T text](f T) bool {
	if len(f) == 0 || len(f) > MaxLength { // [MQTT-4.7.3-1] [MQTT-4.7.3-3]
		return false
	}
	levels := 1
	for i := range len(f) {
		begins := i == 0 || f[i-1] == '/'
		last := i == len(f)-1
		switch f[i] {
		case 0: // [MQTT-4.7.3-2]
			return false
		case '#': // [MQTT-4.7.1-1]
			if !begins || !last {
				return false
			}
		case '+': // [MQTT-4.7.1-2]
			if !begins || !last && f[i+1] != '/' {
				return false
			}
		case '/':
			levels++
		}
	}
	return levels <= MaxLevels
}

// HasWildcard tells whether filter can match more than the one name it spells.
func HasWildcard(filter string) bool {
	if strings.IndexByte(filter, '+') < 0 && (filter == "" || filter[len(filter)-1] != '#') {
		return false
	}
	for pos := 0; pos <= len(filter); {
		l, next := level(filter, pos)
		if l == "+" || l == "#" && next > len(filter) {
			return true
		}
		pos = next
	}
	return false
}

// LiteralPrefix returns the levels of filter before its first wildcard, without the '/' behind them, and whether
// there are any: ("a/b", true) for "a/b/+/c", the whole of a filter without a wildcard, ("", false) for "#".
// Every name that filter matches is the prefix or begins with it and a '/'.
func LiteralPrefix(filter string) (prefix string, ok bool) {
	for pos := 0; pos <= len(filter); {
		l, next := level(filter, pos)
		if l == "+" || l == "#" && next > len(filter) {
			return filter[:max(pos-1, 0)], pos > 0
		}
		pos = next
	}
	return filter, true
}

// First returns the first level of a name or filter; the empty string for one that begins with '/'.
func First(name string) string {
	l, _ := level(name, 0)
	return l
}

// Levels iterates over the levels of a name or filter, at least one, from the first to the last.
func Levels(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for pos := 0; pos <= len(name); {
			l, next := level(name, pos)
			if !yield(l) {
				return
			}
			pos = next
		}
	}
}

// Match tells whether filter matches name. Both should be valid; of others it holds that a '+' or '#' which is not a
// whole level, and a '#' which is not the last, stand for themselves. Of a shared subscription it takes the filter
// that [ParseShare] returns.
func Match(filter, name string) bool {
	if isSystem(name) && filter != "" && (filter[0] == '+' || filter[0] == '#') { // [MQTT-4.7.2-1]
		return false
	}
	for f, n := 0, 0; ; {
		want, fnext := level(filter, f)
		last := fnext > len(filter)
		if last && want == "#" { // the parent level too: "a/#" matches "a" [4.7.1.2]
			return true
		}
		if n > len(name) {
			return false
		}
		have, nnext := level(name, n)
		if want != "+" && want != have {
			return false
		}
		if last {
			return nnext > len(name)
		}
		f, n = fnext, nnext
	}
}

// isSystem tells whether a wildcard in the first level must not match name [MQTT-4.7.2-1].
func isSystem(name string) bool { return name != "" && name[0] == '$' }

// level returns the level of s that starts at pos, and where the next one starts, which is past len(s) after the
// last. So pos > len(s) says "no level left", which an empty remainder could not: "a/" has an empty level at 2.
func level(s string, pos int) (l string, next int) {
	if i := strings.IndexByte(s[pos:], '/'); i >= 0 {
		return s[pos : pos+i], pos + i + 1
	}
	return s[pos:], len(s) + 1
}
