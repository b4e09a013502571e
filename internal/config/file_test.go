package config

import (
	"reflect"
	"testing"

	"github.com/magiconair/properties"
)

func TestParseFile(t *testing.T) {
	text := "\ufeff# comment\r\n" + // 1
		"! comment \\\r\n" + // 2: a comment does not go on
		"a=1\r\n" + // 3
		"  b : 2 \n" + // 4
		"\n \t\n" + // 5, 6
		"c 3\r" + // 7
		"d=x,\\\n" + // 8
		"   # y\\\\\n" + // 9: no comment: line 8 goes on; two backslashes end it
		"e=${a}\n" + // 10
		`f\ g=\u0041\=` + "\n" + // 11
		"h\n" + // 12
		"path=C:\\\\x" // 13
	got, errs := parseFile("conf/x.conf", []byte(text))
	want := []setting{
		{"a", "1", "conf/x.conf:3", "x.conf"},
		{"b", "2 ", "conf/x.conf:4", "x.conf"},
		{"c", "3", "conf/x.conf:7", "x.conf"},
		{"d", `x,# y\`, "conf/x.conf:8", "x.conf"},
		{"e", "${a}", "conf/x.conf:10", "x.conf"},
		{"f g", "A=", "conf/x.conf:11", "x.conf"},
		{"h", "", "conf/x.conf:12", "x.conf"},
		{"path", `C:\x`, "conf/x.conf:13", "x.conf"},
	}
	if len(errs) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("errors %v\ngot  %+v\nwant %+v", errs, got, want)
	}
}

// FuzzParseFile compares our split into lines with the library's reading of the whole file.
func FuzzParseFile(f *testing.F) {
	for _, s := range []string{"a=1\nb=2", "a=\\\n  b\\\n", "#\\\na", "a\\\\\nb", "\\\n\\\n#c=d", "a=\\u12\n", "\r\r\na\f=b", "\\"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, errs := parseFile("x.conf", b)
		loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		p, err := loader.LoadBytes(b)
		if err != nil || len(errs) > 0 {
			return // which line is wrong is the difference that is wanted
		}
		ours := map[string]string{}
		for _, s := range got {
			ours[s.key] = s.value
		}
		if theirs := p.Map(); !reflect.DeepEqual(ours, theirs) {
			t.Errorf("got %q, the library %q", ours, theirs)
		}
	})
}
