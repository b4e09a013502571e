package topic

import (
	"errors"
	"testing"
)

func TestParseShare(t *testing.T) {
	f := func(filter, group, inner string, shared bool, want error) {
		t.Helper()
		g, i, s, err := ParseShare(filter)
		if g != group || i != inner || s != shared || !errors.Is(err, want) {
			t.Errorf("ParseShare(%q) = %q, %q, %v, %v; want %q, %q, %v, %v", filter, g, i, s, err, group, inner, shared, want)
		}
	}
	// 4.8.2: the examples
	f("$share/consumer1/sport/tennis/+", "consumer1", "sport/tennis/+", true, nil)
	f("$share/consumer2/sport/tennis/+", "consumer2", "sport/tennis/+", true, nil)
	f("$share/consumer1//finance", "consumer1", "/finance", true, nil)
	f("$share/g/#", "g", "#", true, nil)
	f("$share/g//", "g", "/", true, nil)
	f("$share/$g/$SYS/#", "$g", "$SYS/#", true, nil)
	// [MQTT-4.8.2-1]: a name of at least one character
	f("$share", "", "", false, ErrShareName)
	f("$share/", "", "", false, ErrShareName)
	f("$share//a", "", "", false, ErrShareName)
	// [MQTT-4.8.2-2]: no '/', '+' or '#' in the name, a '/' and a filter behind it
	f("$share/+/a", "", "", false, ErrShareName)
	f("$share/#", "", "", false, ErrShareName)
	f("$share/g+/a", "", "", false, ErrShareName)
	f("$share/g#/a", "", "", false, ErrShareName)
	f("$share/x", "", "", false, ErrShareFilter)
	f("$share/x/", "", "", false, ErrShareFilter)
	f("$share/g/$share/h/a", "", "", false, ErrShareNested)
	f("$share/g/$share", "", "", false, ErrShareNested)
	// not shared: "$share" is a whole level and the first
	f("$shared/g/a", "", "$shared/g/a", false, nil)
	f("$Share/g/a", "", "$Share/g/a", false, nil)
	f("a/$share/g/b", "", "a/$share/g/b", false, nil)
	f("/$share/g/b", "", "/$share/g/b", false, nil)
	f("+/g/a", "", "+/g/a", false, nil)
	f("a", "", "a", false, nil)
	f("", "", "", false, nil) // ValidFilter refuses it
}
