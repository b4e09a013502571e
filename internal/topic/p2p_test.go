package topic

import "testing"

func TestP2P(t *testing.T) {
	for name, want := range map[string]struct {
		client    string
		is        bool
		addressee string
	}{
		"t1/p2p/c":     {"c", true, "c"},
		"t1/p2p/c/":    {"c", true, "c"},
		"t1/p2p/c/x/y": {"c", true, "c"},
		"/t1/p2p/c/x":  {"c", true, "c"},
		"t1/p2p/é":     {"é", true, "é"},
		"p2p/p2p/c":    {"c", true, "c"},
		"t1/p2p":       {"", true, ""},
		"t1/p2p/":      {"", true, ""},
		"t1/p2p//x":    {"", true, ""},
		"t1/p2pc/x":    {"", false, ""},
		"t1/a/p2p/c":   {"", false, ""},
		"p2p/c":        {"", false, ""},
		"p2p/c/x":      {"", false, ""},
		"//p2p/c":      {"c", true, "c"},
		"/p2p/c":       {"", false, "c"}, // what brokers' light queues tell
		"/p2p/c/":      {"", false, "c"},
		"/p2p//":       {"", false, ""},
		"/p2p":         {"", false, ""},
		"p2p":          {"", false, ""},
		"/":            {"", false, ""},
		"":             {"", false, ""},
	} {
		if client, is := P2P(name); client != want.client || is != want.is {
			t.Errorf("P2P(%q) is %q, %v", name, client, is)
		}
		if got := Addressee(name); got != want.addressee {
			t.Errorf("Addressee(%q) is %q, not %q", name, got, want.addressee)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Addressee("t1/p2p/client/x") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAddressable(t *testing.T) {
	for id, want := range map[string]bool{"c": true, "c d": true, "日本": true, "": false, "a/b": false, "a+": false, "#": false} {
		if Addressable(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}
