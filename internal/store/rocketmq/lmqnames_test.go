package rocketmq

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// wildcardsOf makes wildcards of those filters that are any.
func wildcardsOf(filters ...string) []wildcard {
	var list []wildcard
	for _, f := range filters {
		if w, ok := newWildcard(f); ok {
			list = append(list, w)
		}
	}
	return list
}

func all(string) bool { return true }

// dispatchOf is the names of the light queues of a publish.
func dispatchOf(name string, wildcards []wildcard) (names []string, left int) {
	value, n, left := appendDispatch([]byte("before"), name, wildcards, maxProperties, all)
	names = strings.Split(strings.TrimPrefix(string(value), "before"), ",")
	if n == 0 {
		names = nil
	}
	return names, left
}

// What the Java proxy writes, seen there with RocketMQ 5.1.4 and 5.4.0.
func TestLightQueuesAreJavas(t *testing.T) {
	registered := wildcardsOf("t1/+", "t1/#", "t1/a/+", "wc/+/", "wc/#", "/t1/+", "t1/+//", "t1/a", "t1/a#", "+/a", "")
	for name, want := range map[string]string{
		"t1/a":         "%LMQ%t1%a% %LMQ%t1%+% %LMQ%t1%#%",
		"t1/a/":        "%LMQ%t1%a% %LMQ%t1%+% %LMQ%t1%#%",
		"t1":           "%LMQ%t1 %LMQ%t1%#%",
		"t1/":          "%LMQ%t1% %LMQ%t1%#%",
		"/t1/a":        "%LMQ%%t1%a% %LMQ%%t1%+%",
		"t1/a/b":       "%LMQ%t1%a%b% %LMQ%t1%#% %LMQ%t1%a%+%",
		"t1//b":        "%LMQ%t1%%b% %LMQ%t1%#%",
		"wc":           "%LMQ%wc %LMQ%wc%#%",
		"t1/a%b/c":     "%LMQ%t1%a%b%c% %LMQ%t1%#%", // as Java: the same as t1/a/b/c
		"t1/p2p/c":     "%LMQ%%p2p%c%",
		"t1/p2p/c/":    "%LMQ%%p2p%c%",
		"t1/p2p/c/x/y": "%LMQ%%p2p%c%",
		"/t1/p2p/c/x":  "%LMQ%%p2p%c%",
		"t1/p2p":       "",
		"t1/p2p/":      "",
		"t1/p2p//x":    "",
		"t1/p2pc/x":    "%LMQ%t1%p2pc%x% %LMQ%t1%#%",
		"other/größe":  "%LMQ%other%größe%",
	} {
		var w []wildcard
		for _, one := range registered { // as they are kept: by first level
			if firstLevel(one.filter) == firstLevel(name) {
				w = append(w, one)
			}
		}
		got, left := dispatchOf(name, dedupe(w))
		if strings.Join(got, " ") != want || left != 0 {
			t.Errorf("%q: %q, %d left out; want %q", name, got, left, want)
		}
	}
}

func dedupe(w []wildcard) []wildcard {
	var out []wildcard
	for _, one := range w {
		if !slices.ContainsFunc(out, func(o wildcard) bool { return o.name == one.name }) {
			out = append(out, one)
		}
	}
	return out
}

// A name that might stop a broker is left out; the wildcards that match still have the message.
func TestDangerousNamesAreLeftOut(t *testing.T) {
	long := strings.Repeat("x", maxLMQName-len("%LMQ%t1%%"))
	for name, want := range map[string]string{
		"t1/a,b":                            "%LMQ%t1%#%",
		"t1/a,":                             "%LMQ%t1%#%",
		"t1/,%LMQ%x":                        "%LMQ%t1%#%",
		"t1/a\x01b":                         "%LMQ%t1%#%",
		"t1/a\x02b":                         "%LMQ%t1%#%",
		"t1/a\nb":                           "%LMQ%t1%#%",
		"t1/a\x7F":                          "%LMQ%t1%#%",
		"t1/a\u0085":                        "%LMQ%t1%#%",
		"t1/\xFF":                           "%LMQ%t1%#%",
		"t1/" + long:                        "%LMQ%t1%" + long + "% %LMQ%t1%#%", // exactly as long as may be
		"t1/" + long + "x":                  "%LMQ%t1%#%",
		"t1/" + strings.Repeat("é", 124):    "%LMQ%t1%#%", // bytes count, not characters
		"t1/" + strings.Repeat("x", 20_000): "%LMQ%t1%#%",
		"t1/p2p/a,b":                        "",
		"t1/p2p/" + long + long:             "",
		"/p2p/c":                            "", // c's own queue, by another way
		"/retry/c":                          "",
	} {
		got, left := dispatchOf(name, wildcardsOf("t1/#"))
		wantLeft := 1
		if strings.HasSuffix(want, long+"% %LMQ%t1%#%") {
			wantLeft = 0
		}
		if strings.Join(got, " ") != want || left != wantLeft {
			t.Errorf("%.50q: %q, %d left out; want %q, %d", name, got, left, want, wantLeft)
		}
	}
	if w := wildcardsOf("t1/a,b/+", "t1/\x01/+", "t1/"+long+"/+", "t1/\xFF/+"); w != nil {
		t.Errorf("wildcards %q are used", w)
	}
}

// 600 wildcards that match are as many as there is room for; the topic's own queue comes first.
func TestDispatchHasALimit(t *testing.T) {
	var filters []string
	for i := range 600 {
		filters = append(filters, "t1/+/"+strings.Repeat("+/", i%7)+"#"[:i%2]+strings.Repeat("+/", i/7)+"#")
	}
	w := dedupe(wildcardsOf(filters...))
	name := "t1" + strings.Repeat("/x", 120)
	const room = 2000
	value, n, left := appendDispatch(nil, name, w, room, all)
	names := strings.Split(string(value), ",")
	if len(names) != n || left == 0 || len(value)+n*offsetRoom > room {
		t.Errorf("%d names of %d bytes, %d left out", n, len(value), left)
	}
	if value, n, left := appendDispatch(nil, name, w, 0, all); n != 0 || len(value) != 0 || left != 1+len(w) {
		t.Errorf("without room: %q, %d left out", value, left)
	}
}

// Whatever is published and registered: no name can harm a broker, and none comes twice.
func FuzzDispatch(f *testing.F) {
	for _, seed := range []string{"t1/a", "t1/a,b", "t1/\x00", "t1/p2p/c", "t1/p2p/,", "/p2p/c", "t1/\xE2\x82", "t1/" + strings.Repeat("é", 300), "t1//"} {
		f.Add(seed, "t1/+", "t1/+/", 1000)
		f.Add(seed, seed+"/#", "t1/,/#", 100)
	}
	f.Fuzz(func(t *testing.T, name, one, two string, room int) {
		value, n, _ := appendDispatch(nil, name, dedupe(wildcardsOf(one, two)), room, all)
		names := strings.Split(string(value), ",")
		if n == 0 {
			names = nil
		}
		if len(names) != n || n > 0 && len(value)+n*offsetRoom > room {
			t.Fatalf("%d names in %q, room for %d", n, value, room)
		}
		seen := map[string]bool{}
		for _, one := range names {
			switch {
			case len(one) > 255, !strings.HasPrefix(one, "%LMQ%"), strings.ContainsAny(one, ",/"), !utf8.ValidString(one),
				strings.ContainsFunc(one, unicode.IsControl), seen[one], strings.HasPrefix(one, lmqRetry):
				t.Fatalf("%q of %q", one, names)
			}
			seen[one] = true
		}
	})
}
