package topic

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// trieOf returns a trie in which the value of each filter is the filter.
func trieOf(filters ...string) *Trie[string] {
	t := NewTrie[string]()
	for _, f := range filters {
		t.set(f, f)
	}
	return t
}

func (t *Trie[V]) set(filter string, v V) {
	t.Update(filter, func(V, bool) (V, bool) { return v, true })
}

func (t *Trie[V]) unset(filter string) {
	t.Update(filter, func(old V, _ bool) (V, bool) { return old, false })
}

// nodes counts the nodes below n and checks that each of them is needed.
func (n *node[V]) nodes(t *testing.T) int {
	t.Helper()
	sum := 0
	down := func(it *item[node[V]]) bool {
		c := &it.val
		if !c.hasValue() && c.degree() < 2 {
			t.Errorf("node %q%q has no value and %d children", it.key, c.rest, c.degree())
		}
		if c.rest != "" && c.rest[0] != '/' {
			t.Errorf("node %q has the rest %q", it.key, c.rest)
		}
		sum += 1 + c.nodes(t)
		return true
	}
	if it := n.plus.Load(); it != nil {
		if it.key != "+" {
			t.Errorf("the '+' child has the key %q", it.key)
		}
		down(it)
	}
	n.kids.each(down)
	n.kids.tables(func(tb *table[node[V]]) { tb.check(t) })
	return sum
}

// check holds the trie against want: Len, Get, Range, and the shape of the tree.
func (t *Trie[V]) check(tt *testing.T, want map[string]V, same func(a, b V) bool) {
	tt.Helper()
	if t.Len() != len(want) {
		tt.Errorf("Len = %d, want %d", t.Len(), len(want))
	}
	wild := 0
	for f, v := range want {
		if got, ok := t.Get(f); !ok || !same(got, v) {
			tt.Errorf("Get(%q) = %v, %v, want %v", f, got, ok, v)
		}
		if HasWildcard(f) {
			wild++
		}
	}
	seen := map[string]bool{}
	for f, v := range t.Range {
		if w, ok := want[f]; !ok || !same(v, w) || seen[f] {
			tt.Errorf("Range shows %q = %v (before: %v), want %v, %v", f, v, seen[f], w, ok)
		}
		seen[f] = true
	}
	if len(seen) != len(want) {
		tt.Errorf("Range shows %d filters, want %d", len(seen), len(want))
	}
	if n := t.root.nodes(tt); n > 2*wild {
		tt.Errorf("%d nodes for %d filters with wildcards", n, wild)
	}
	if t.exact.size() != len(want)-wild {
		tt.Errorf("%d exact filters, want %d", t.exact.size(), len(want)-wild)
	}
}

func equal[T comparable](a, b T) bool { return a == b }

func TestUpdateSeesOldAndKeepsNew(t *testing.T) {
	for _, filter := range []string{"a/b", "a/+", "a/#", "#", "+", "/", "/#", "a/", "$SYS/#", "a//+"} {
		tr := trieOf("a/b/c", "a/+/c", "a/b/c/#", "x/#", "//#")
		f := func(wantOld string, wantOK bool, v string, keep bool, wantLen int) {
			t.Helper()
			calls := 0
			tr.Update(filter, func(old string, ok bool) (string, bool) {
				if calls++; old != wantOld || ok != wantOK {
					t.Errorf("Update(%q) shows %q, %v, want %q, %v", filter, old, ok, wantOld, wantOK)
				}
				return v, keep
			})
			got, ok := tr.Get(filter)
			if calls != 1 || ok != keep || keep && got != v || tr.Len() != wantLen {
				t.Errorf("after Update(%q) of %d calls: %q, %v, Len %d; want %q, %v, %d", filter, calls, got, ok, tr.Len(), v, keep, wantLen)
			}
		}
		f("", false, "no", false, 5)
		f("", false, "one", true, 6)
		f("one", true, "two", true, 6)
		f("two", true, "no", false, 5)
		f("", false, "no", false, 5)
	}
}

// Nodes are cut and joined where filters branch and end, for every order of subscribing and unsubscribing.
func TestNodesAreCutAndJoined(t *testing.T) {
	filters := []string{"a/b/c/+", "a/b/#", "a/b/+/d", "a/+/+/d", "+/b/c/+", "#", "a/b/c/+/e"}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		tr, want := NewTrie[string](), map[string]string{}
		rng.Shuffle(len(filters), func(i, j int) { filters[i], filters[j] = filters[j], filters[i] })
		for _, f := range filters {
			tr.set(f, f)
			want[f] = f
			tr.check(t, want, equal)
		}
		rng.Shuffle(len(filters), func(i, j int) { filters[i], filters[j] = filters[j], filters[i] })
		for _, f := range filters {
			tr.unset(f)
			delete(want, f)
			tr.check(t, want, equal)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// vocabulary makes filters and names that often share levels, and often differ in little.
type vocabulary struct {
	*rand.Rand
	levels []string
	depth  int
}

func newVocabulary(seed uint64) vocabulary {
	return vocabulary{rand.New(rand.NewPCG(seed, 0)), []string{"", "a", "b", "ab", "c", "$SYS", "$", "aaaaaaaaaaaaaaaaa"}, 6}
}

func (r vocabulary) name() string {
	ls := make([]string, 1+r.IntN(r.depth))
	for i := range ls {
		ls[i] = r.levels[r.IntN(len(r.levels))]
	}
	if len(ls) == 1 && ls[0] == "" {
		return "a"
	}
	return strings.Join(ls, "/")
}

func (r vocabulary) filter() string {
	ls := strings.Split(r.name(), "/")
	for i := range ls {
		if r.IntN(3) == 0 {
			ls[i] = "+"
		}
	}
	if r.IntN(3) == 0 {
		ls = append(ls[:r.IntN(len(ls)+1)], "#")
	}
	return strings.Join(ls, "/")
}

// sameMatches compares what the trie finds for name with what Match says of each filter.
func sameMatches(t *testing.T, tr *Trie[string], filters map[string]string, name string) {
	t.Helper()
	got := tr.MatchAppend(nil, name)
	want := slices.DeleteFunc(slices.Collect(maps.Keys(filters)), func(f string) bool { return !Match(f, name) })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("for %q the trie finds %q, want %q", name, got, want)
	}
}

// A trie that lives through random updates finds for every name the filters that Match says match it.
func TestTrieFindsWhatMatchSays(t *testing.T) {
	for seed := range uint64(12) {
		r := newVocabulary(seed)
		tr, want := NewTrie[string](), map[string]string{}
		for round := range 60 {
			for range 20 {
				f := r.filter()
				if !ValidFilter(f) {
					t.Fatalf("made an invalid filter %q", f)
				}
				if r.IntN(60) < round { // first it grows, then it shrinks
					tr.unset(f)
					delete(want, f)
				} else {
					tr.set(f, f)
					want[f] = f
				}
			}
			for range 20 {
				sameMatches(t, tr, want, r.name())
			}
		}
		tr.check(t, want, equal)
		for f := range want {
			tr.unset(f)
		}
		tr.check(t, nil, equal)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzTrie takes any bytes for filters, one a line, and a name: the trie and Match agree on valid and on invalid ones,
// and after all filters are removed nothing is left.
func FuzzTrie(f *testing.F) {
	f.Add("a/b\na/+\na/#\n#\n+/b", "a/b")
	f.Add("/\n/+\n/#\n+/+\n//", "/")
	f.Add("$SYS/#\n#\n+/x\n$SYS/+", "$SYS/x")
	f.Add("a/b/c/+\na/b/#\na/+/c/#", "a/b/c/d")
	f.Add("a+/b\na/#/b\n+/#/+", "a/#/b")
	f.Add("\n\x00\n/\n#", "")
	f.Fuzz(func(t *testing.T, lines, name string) {
		tr, want := NewTrie[string](), map[string]string{}
		for i, f := range strings.Split(lines, "\n") {
			if i%5 == 4 {
				tr.unset(f)
				delete(want, f)
			} else {
				tr.set(f, f)
				want[f] = f
			}
			sameMatches(t, tr, want, name)
		}
		tr.check(t, want, equal)
		for f := range want {
			tr.unset(f)
		}
		tr.check(t, nil, equal)
	})
}

// FuzzText holds the functions of names and filters to what they promise of each other.
func FuzzText(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Add("$share/g/a/#", "$SYS/a")
	f.Add("+a/b#", "\x00")
	f.Fuzz(func(t *testing.T, filter, name string) {
		if ValidName(filter) && (!ValidFilter(filter) || HasWildcard(filter)) {
			t.Errorf("%q is a name, but not a filter without wildcards", filter)
		}
		if ValidFilter(filter) && !ValidName(filter) && !HasWildcard(filter) {
			t.Errorf("%q is a filter without wildcards, but not a name", filter)
		}
		if strings.Join(slices.Collect(Levels(filter)), "/") != filter {
			t.Errorf("the levels of %q do not make it up", filter)
		}
		if prefix, ok := LiteralPrefix(filter); ok && Match(filter, name) && name != prefix && !strings.HasPrefix(name, prefix+"/") {
			t.Errorf("%q matches %q, which does not begin with %q", filter, name, prefix)
		}
		if group, inner, shared, err := ParseShare(filter); err == nil && shared {
			if filter != "$share/"+group+"/"+inner || !ValidName(group+"x") && ValidFilter(filter) || strings.Contains(group, "/") {
				t.Errorf("%q is parsed as the share %q of %q", filter, group, inner)
			}
		} else if err == nil && inner != filter {
			t.Errorf("%q, not shared, becomes %q", filter, inner)
		}
	})
}

// Names and filters with as many levels as may be, which all match, and the 2^n filters that one name can match.
func TestDeepAndManyMatches(t *testing.T) {
	deep := strings.Repeat("a/", MaxLevels-1) + "a"
	plus := strings.Repeat("+/", MaxLevels-1) + "+"
	tr := trieOf(deep, plus)
	for i := range MaxLevels {
		tr.set(strings.Repeat("+/", i)+"#", "")
		tr.set(strings.Repeat("a/", i)+"#", "")
	}
	if got, want := len(tr.MatchAppend(nil, deep)), 2+2*MaxLevels-1; got != want {
		t.Errorf("%d filters match, want %d", got, want)
	}
	tr.MatchAppend(nil, strings.Repeat("/", MaxLength)) // not a valid name, but no harm either

	tr = NewTrie[string]()
	const levels = 10
	for i := range 1 << levels {
		ls := make([]string, levels)
		for l := range ls {
			ls[l] = []string{"a", "+"}[i>>l&1]
		}
		tr.set(strings.Join(ls, "/"), "")
	}
	if got := len(tr.MatchAppend(nil, strings.Repeat("a/", levels-1)+"a")); got != 1<<levels {
		t.Errorf("%d filters match, want %d", got, 1<<levels)
	}
}

// Range may be left early and may update the trie while it runs.
func TestRangeEndsEarlyAndMayUpdate(t *testing.T) {
	tr := NewTrie[string]()
	for i := range 100 {
		tr.set(fmt.Sprint("a/", i), "")
		tr.set(fmt.Sprint("a/", i, "/+"), "")
	}
	for stop := 1; stop <= 200; stop += 33 {
		n := 0
		for range tr.Range {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d filters before the end, want %d", n, stop)
		}
	}
	for f := range tr.Range {
		tr.unset(f)
	}
	tr.check(t, nil, equal)
}
