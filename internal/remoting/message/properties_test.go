package message

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// javaMap reads properties the way Java's callers see them: the last of a name counts.
func javaMap(props []byte) map[string]string {
	m := map[string]string{}
	for name, value, rest, ok := Next(props); ok; name, value, rest, ok = Next(rest) {
		m[string(name)] = string(value)
	}
	return m
}

// What string2messageProperties of 5.4.0 answers, by running it.
func TestNextReadsAsJava(t *testing.T) {
	cases := map[string]map[string]string{
		"":                                {},
		"a\x01b\x02":                      {"a": "b"},
		"a\x01b":                          {"a": "b"},
		"\x01b\x02c\x01d":                 {"c": "d"},
		"a\x01\x02c\x01d\x02":             {"c": "d"},
		"a\x01b\x01c\x02":                 {"a": "b\x01c"},
		"ab\x02c\x01d":                    {"c": "d"},
		"\x02\x02x\x01y":                  {"x": "y"},
		"abcd\x02e\x01f\x02":              {"e": "f"},
		"k\x01v\x02k\x01w\x02":            {"k": "w"},
		"a\x01\x01b":                      {"a": "\x01b"},
		"TAGS\x01x\x02KEYS\x01\u00e4\x02": {"TAGS": "x", "KEYS": "\u00e4"},
	}
	for in, want := range cases {
		if got := javaMap([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestProperty(t *testing.T) {
	props := []byte("a\x011\x02b\x012\x02a\x013\x02")
	if v, ok := Property(props, "a"); string(v) != "3" || !ok {
		t.Errorf("a is %q, %t; want the last, as a Java map has it", v, ok)
	}
	if v, ok := Property(props, "c"); v != nil || ok {
		t.Errorf("c is %q, %t; want none", v, ok)
	}
}

func TestAppendProperty(t *testing.T) {
	b, err := AppendProperty(nil, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if b, err = AppendProperty(b, "c", []byte("\u00e4")); err != nil {
		t.Fatal(err)
	}
	if string(b) != "a\x01b\x02c\x01\u00e4\x02" {
		t.Errorf("%q", b)
	}
	if want := PropertySize(1, 1) + PropertySize(1, 2); len(b) != want {
		t.Errorf("%d bytes, %d foretold", len(b), want)
	}
}

func TestAppendPropertyRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"", "v"},
		{"n", ""},
		{"n\x01", "v"},
		{"n\x02", "v"},
		{"n", "v\x01w"},
		{"n", "v\x02DELAY\x014"},
		{"n\xff", "v"},
		{"n", "v\xff"},
	} {
		dst := []byte("a\x01b\x02")
		got, err := AppendProperty(dst, c[0], c[1])
		if !errors.Is(err, ErrProperty) {
			t.Errorf("%q=%q: %v, want ErrProperty", c[0], c[1], err)
		}
		if string(got) != "a\x01b\x02" {
			t.Errorf("%q=%q: left %q", c[0], c[1], got)
		}
	}
}

func ExampleNext() {
	props := []byte("TAGS\x01MQTT_COMMON\x02qosLevel\x011\x02")
	for name, value, rest, ok := Next(props); ok; name, value, rest, ok = Next(rest) {
		fmt.Printf("%s: %s\n", name, value)
	}
	// Output:
	// TAGS: MQTT_COMMON
	// qosLevel: 1
}
