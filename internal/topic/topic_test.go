package topic

import (
	"slices"
	"strings"
	"testing"
)

func TestValidName(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%.40q) = %v, want %v", name, got, want)
		}
		if got := ValidName([]byte(name)); got != want {
			t.Errorf("ValidName([]byte(%.40q)) = %v, want %v", name, got, want)
		}
	}
	f("", false) // [MQTT-4.7.3-1]
	f("a", true)
	f("/", true)
	f("//", true)
	f("/finance", true)
	f("ACCOUNTS", true)
	f("Accounts payable", true) // spaces are allowed [4.7.3]
	f("sport/tennis/player1", true)
	f("$SYS/monitor/Clients", true)
	f("sport/+", false) // [MQTT-4.7.1-1], and the next four
	f("sport+", false)
	f("#", false)
	f("sport/tennis#", false)
	f("a/#/b", false)
	f("a\x00b", false) // [MQTT-4.7.3-2]
	f("\x00", false)
	f("a\x01b", true)
	f("日本/東京", true)
	f(strings.Repeat("a", MaxLength), true) // [MQTT-4.7.3-3]
	f(strings.Repeat("a", MaxLength+1), false)
	f(strings.Repeat("/", MaxLevels-1), true) // our limit
	f(strings.Repeat("/", MaxLevels), false)
	f(strings.Repeat("/", MaxLength), false)
}

func TestValidFilter(t *testing.T) {
	f := func(filter string, want bool) {
		t.Helper()
		if got := ValidFilter(filter); got != want {
			t.Errorf("ValidFilter(%.40q) = %v, want %v", filter, got, want)
		}
		if got := ValidFilter([]byte(filter)); got != want {
			t.Errorf("ValidFilter([]byte(%.40q)) = %v, want %v", filter, got, want)
		}
	}
	f("", false) // [MQTT-4.7.3-1]
	// [MQTT-4.7.1-1]: the examples of 4.7.1.2
	f("sport/tennis/player1/#", true)
	f("sport/#", true)
	f("#", true)
	f("sport/tennis/#", true)
	f("sport/tennis#", false)
	f("sport/tennis/#/ranking", false)
	f("##", false)
	f("#/", false)
	f("/#", true)
	// [MQTT-4.7.1-2]: the examples of 4.7.1.3
	f("+", true)
	f("+/tennis/#", true)
	f("sport+", false)
	f("+sport", false)
	f("sport/+/player1", true)
	f("sport/+", true)
	f("/+", true)
	f("+/", true)
	f("+/+", true)
	f("++", false)
	f("+#", false)
	f("a/+b/c", false)
	f("a/b+/c", false)
	f("a\x00b", false) // [MQTT-4.7.3-2]
	f("$SYS/#", true)
	f("日本/+", true)
	f(strings.Repeat("a", MaxLength), true) // [MQTT-4.7.3-3]
	f(strings.Repeat("a", MaxLength+1), false)
	f(strings.Repeat("+/", MaxLevels-1)+"+", true) // our limit
	f(strings.Repeat("+/", MaxLevels)+"+", false)
}

func TestMatch(t *testing.T) {
	f := func(filter, name string, want bool) {
		t.Helper()
		if got := Match(filter, name); got != want {
			t.Errorf("Match(%q, %q) = %v, want %v", filter, name, got, want)
		}
		if got := len(trieOf(filter).MatchAppend(nil, name)) == 1; got != want {
			t.Errorf("Trie of %q finds it for %q: %v, want %v", filter, name, got, want)
		}
	}
	// 4.7.1.2: "#" with any number of levels, the parent too
	f("sport/tennis/player1/#", "sport/tennis/player1", true)
	f("sport/tennis/player1/#", "sport/tennis/player1/ranking", true)
	f("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true)
	f("sport/tennis/player1/#", "sport/tennis/player2", false)
	f("sport/tennis/player1/#", "sport/tennis/player10", false)
	f("sport/#", "sport", true)
	f("sport/#", "sport/", true)
	f("sport/#", "sports", false)
	f("sport/#", "spor", false)
	f("#", "sport", true)
	f("#", "/", true)
	f("/#", "/", true)
	f("/#", "/a", true)
	f("/#", "a", false)
	// 4.7.1.3: "+" with exactly one level, which may be empty
	f("sport/tennis/+", "sport/tennis/player1", true)
	f("sport/tennis/+", "sport/tennis/player2", true)
	f("sport/tennis/+", "sport/tennis/player1/ranking", false)
	f("sport/+", "sport", false)
	f("sport/+", "sport/", true)
	f("+/+", "/finance", true)
	f("/+", "/finance", true)
	f("+", "/finance", false)
	f("+", "finance", true)
	f("+/tennis/#", "sport/tennis", true)
	f("+/tennis/#", "sport/tennis/a/b", true)
	f("+/tennis/#", "sport/golf", false)
	f("sport/+/player1", "sport/tennis/player1", true)
	f("sport/+/player1", "sport/tennis/player2", false)
	f("sport/+/player1", "sport/tennis", false)
	f("+/+/+", "a/b", false)
	f("+/#", "a", true)
	f("+/+/#", "a", false)
	f("a/+/+/d", "a/b/c/d", true)
	f("a/+/+/d", "a/b//d", true)
	// 4.7.2: a wildcard first level does not match '$'; a wildcard after it does [MQTT-4.7.2-1]
	f("#", "$SYS/monitor/Clients", false)
	f("+/monitor/Clients", "$SYS/monitor/Clients", false)
	f("$SYS/#", "$SYS/monitor/Clients", true)
	f("$SYS/#", "$SYS", true)
	f("$SYS/monitor/+", "$SYS/monitor/Clients", true)
	f("$SYS/+/Clients", "$SYS/monitor/Clients", true)
	f("#", "$", false)
	f("+", "$", false)
	f("$", "$", true)
	f("#", "a/$SYS", true)
	f("a/+", "a/$SYS", true)
	f("+/$SYS", "a/$SYS", true)
	// 4.7.3: case, a leading or trailing '/', and nothing folded or normalised [MQTT-4.7.3-4]
	f("ACCOUNTS", "Accounts", false)
	f("/finance", "finance", false)
	f("a/b", "a/b", true)
	f("a/b", "a/b/", false)
	f("a/b/", "a/b", false)
	f("a/b/", "a/b/", true)
	f("a//b", "a//b", true)
	f("a//b", "a/b", false)
	f("//", "//", true)
	f("//", "/", false)
	f("\u00e9", "e\u0301", false)
	f("日本/+", "日本/東京", true)
}

func TestHasWildcardAndLiteralPrefix(t *testing.T) {
	f := func(filter, prefix string, ok, wild bool) {
		t.Helper()
		if got, gotOK := LiteralPrefix(filter); got != prefix || gotOK != ok {
			t.Errorf("LiteralPrefix(%q) = %q, %v, want %q, %v", filter, got, gotOK, prefix, ok)
		}
		if got := HasWildcard(filter); got != wild {
			t.Errorf("HasWildcard(%q) = %v, want %v", filter, got, wild)
		}
	}
	f("a", "a", true, false)
	f("a/b", "a/b", true, false)
	f("a/", "a/", true, false)
	f("/", "/", true, false)
	f("a/b/+/c", "a/b", true, true)
	f("a/b/#", "a/b", true, true)
	f("a/#", "a", true, true)
	f("/#", "", true, true) // the empty first level
	f("//+", "/", true, true)
	f("#", "", false, true)
	f("+", "", false, true)
	f("+/a", "", false, true)
}

func TestLevels(t *testing.T) {
	f := func(name string, want ...string) {
		t.Helper()
		if got := slices.Collect(Levels(name)); !slices.Equal(got, want) {
			t.Errorf("Levels(%q) = %q, want %q", name, got, want)
		}
		if got := First(name); got != want[0] {
			t.Errorf("First(%q) = %q, want %q", name, got, want[0])
		}
	}
	f("a", "a")
	f("a/b/c", "a", "b", "c")
	f("/a", "", "a")
	f("a/", "a", "")
	f("//", "", "", "")
	f("$share/g/a", "$share", "g", "a")

	for l := range Levels("a/b/c") {
		if l == "b" {
			break // an early end must not run on
		}
	}
}

func TestFunctionsDoNotAllocate(t *testing.T) {
	name, filter := "devices/0001/sensors/12/temperature", "devices/+/sensors/#"
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		for l := range Levels(name) {
			n += len(l)
		}
		_, inner, _, _ := ParseShare("$share/group/devices/+/sensors/#")
		if !ValidName(name) || !ValidFilter(filter) || !Match(inner, name) || First(name) != "devices" {
			n++
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a run, want none (%d)", allocs, n)
	}
}
