package blocks

import "strings"

// Hashes are FNV-1a, whose prefixes come for free, mixed so that the low bits are good. They are on disk.
const (
	fnvOffset   = 14695981039346656037
	fnvPrime    = 1099511628211
	saltTopic   = 0x9E3779B97F4A7C15
	saltPrefix  = 0xC2B2AE3D27D4EB4F
	mixMultiply = 0xD6E8FEB86659FD93
)

func mix(h, salt uint64) uint64 {
	h ^= salt
	h = (h ^ h>>32) * mixMultiply
	h = (h ^ h>>32) * mixMultiply
	return h ^ h>>32
}

func fnv(s string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// Wanted is what a reader wants, in the form that filters can answer. The zero value wants nothing.
type Wanted struct {
	all    bool
	hashes []uint64
}

// All wants every block with a message.
func All() Wanted { return Wanted{all: true} }

// Compile turns MQTT topic filters (without $share) into hashes, one of which must be in a block that matters.
func Compile(filters []string) (w Wanted) {
	for _, filter := range filters {
		if !w.add(filter) {
			return All()
		}
	}
	return w
}

// MayBeIn reports whether the block of f may hold something that is wanted.
func (w *Wanted) MayBeIn(f Filter) bool {
	if len(f) == 0 {
		return false
	}
	if w.all {
		return true
	}
	for _, h := range w.hashes {
		if f.has(h) {
			return true
		}
	}
	return false
}

// add adds a filter; false when it may match in any block.
func (w *Wanted) add(filter string) bool {
	i := strings.IndexAny(filter, "+#")
	if i < 0 {
		w.hashes = append(w.hashes, mix(fnv(filter), saltTopic))
		return true
	}
	if i == 0 {
		return false
	}
	prefix := filter[:i-1] // without the slash before the wildcard
	if filter[i] == '#' {  // "a/#" matches "a" [MQTT-4.7.1-2]
		w.hashes = append(w.hashes, mix(fnv(prefix), saltTopic))
	}
	w.hashes = append(w.hashes, mix(fnv(firstLevels(prefix)), saltPrefix))
	return true
}

// firstLevels cuts a prefix to the levels that are indexed.
func firstLevels(prefix string) string {
	for i, level := 0, 0; i < len(prefix); i++ {
		if prefix[i] == '/' {
			if level++; level == prefixLevels {
				return prefix[:i]
			}
		}
	}
	return prefix
}
