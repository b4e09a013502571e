package blocks

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// filterOf is the filter of a block with these topics.
func filterOf(topics []string) Filter {
	var b Builder
	for _, name := range topics {
		b.Add(name)
	}
	return b.AppendTo(nil)
}

// name is a topic, or a filter, of levels that meet often; the first eight levels are indexed and a few are deeper.
func name(rng *rand.Rand, wild bool) string {
	out := ""
	for i := range 1 + rng.IntN(11) {
		if i > 0 {
			out += "/"
		}
		switch n := rng.IntN(8); {
		case wild && n == 0:
			return out + "#"
		case wild && n < 3:
			out += "+"
		case n == 3: // an empty level
		default:
			out += fmt.Sprint("l", rng.IntN(3))
		}
	}
	return out
}

// A block with a topic that a filter matches is never skipped.
func TestHasWhatMatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 300 {
		topics := make([]string, 1+rng.IntN(Size))
		for i := range topics {
			topics[i] = name(rng, false)
		}
		f := filterOf(topics)
		for range 100 {
			filter := name(rng, true)
			w := Compile([]string{filter})
			for _, one := range topics {
				if !topic.Match(filter, one) {
					continue
				}
				if matched++; !w.MayBeIn(f) {
					t.Fatalf("a block with %q is skipped by %q", one, filter)
				}
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d times a filter matched: the test shows little", matched)
	}
}

// A block without a topic that matches is skipped, but for a few, and its filter is small.
func TestSkips(t *testing.T) {
	for _, c := range []struct{ topics, bytes int }{{1, 40}, {8, 80}, {128, 600}} {
		topics := make([]string, Size)
		for i := range topics {
			topics[i] = fmt.Sprintf("house/%d/temperature", i%c.topics)
		}
		f := filterOf(topics)
		if size := len(f); size > c.bytes {
			t.Errorf("%d topics take %d bytes, want %d at most", c.topics, size, c.bytes)
		}
		wrong := 0
		for i := range 1000 {
			w := Compile([]string{fmt.Sprintf("house/%d/+", 1000+i)})
			if w.MayBeIn(f) {
				wrong++
			}
		}
		if wrong > 50 {
			t.Errorf("%d topics: %d of 1000 filters read the block in vain", c.topics, wrong)
		}
	}
	all := All()
	if all.MayBeIn(filterOf(nil)) {
		t.Error("a block without messages is read")
	}
}
