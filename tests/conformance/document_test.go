package conformance

import (
	_ "embed"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

var update = flag.Bool("update", false, "write CONFORMANCE.md")

//go:embed statements.tsv
var table string

const document = "CONFORMANCE.md"

// statement is one line of statements.tsv.
type statement struct {
	version string // as mqtt.Version.String
	id      string // without "MQTT-"
	binds   string // client, server or both
	text    string
	note    string // "", "none: why there is no test", or "see: directory TestA, TestB"
}

// statements reads the table. The numbers are those of Appendix B of either specification.
func statements(t *testing.T) []statement {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	var out []statement
	for i, line := range lines[1:] {
		f := strings.Split(line, "\t")
		if len(f) < 4 || len(f) > 5 || !slices.Contains([]string{"client", "server", "both"}, f[2]) || f[3] == "" {
			t.Fatalf("statements.tsv:%d: not a statement: %q", i+2, line)
		}
		s := statement{version: f[0], id: f[1], binds: f[2], text: f[3]}
		if len(f) == 5 {
			s.note = f[4]
		}
		out = append(out, s)
	}
	return out
}

// showing is a test as it shows one statement.
type showing struct {
	id   string
	name string // of the function
	file string
	run  func(r *run)

	outcome *outcome
}

// shown are the tests of a version, one for each statement that a test lists.
func shown(tests []test, v mqtt.Version) []showing {
	var out []showing
	for _, c := range tests {
		ids := c.v311
		if v == mqtt.V5 {
			ids = c.v5
		}
		f := runtime.FuncForPC(reflect.ValueOf(c.run).Pointer())
		file, _ := f.FileLine(f.Entry())
		same := new(outcome)
		for id := range strings.FieldsSeq(ids) {
			out = append(out, showing{id: id, name: c.name(), file: filepath.Base(file), run: c.run, outcome: same})
		}
	}
	return out
}

// name is that of its function.
func (c *test) name() string {
	name := runtime.FuncForPC(reflect.ValueOf(c.run).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// The table has every statement of Appendix B: 141 of MQTT 3.1.1 and 251 of MQTT 5.0. In each section they are numbered from
// 1 on; 2.2.1 of MQTT 5.0 begins with 2.
func TestStatements(t *testing.T) {
	count, last := map[string]int{}, ""
	number := 0
	for _, s := range statements(t) {
		count[s.version]++
		section, n, _ := strings.Cut(s.id, "-")
		if section != last {
			number, last = 0, section
			if s.version == "5.0" && section == "2.2.1" {
				number = 1
			}
		}
		if number++; n != strconv.Itoa(number) {
			t.Errorf("MQTT %s: %s stands where %s-%d should", s.version, s.id, section, number)
		}
	}
	if count["3.1.1"] != 141 || count["5.0"] != 251 || len(count) != 2 {
		t.Errorf("statements by version: %v", count)
	}
}

// CONFORMANCE.md says what the table and the tests say; every statement that binds a server has a test or a reason, and
// every number that a test lists exists.
func TestDocument(t *testing.T) {
	root, err := broker.Root()
	if err != nil {
		t.Fatal(err)
	}
	want := render(rowsOf(t, root))
	path := filepath.Join(root, document)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what the tests say; run: go test ./tests/conformance -update", document)
	}
}

// row is a statement with what shows it.
type row struct {
	statement
	shown string // as it stands in the document
	kind  string // tested, client, none
}

func rowsOf(t *testing.T, root string) []row {
	t.Helper()
	var rows []row
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		known, tests := map[string]bool{}, byID(shown(catalogue(), v))
		for _, s := range statements(t) {
			if s.version != v.String() {
				continue
			}
			known[s.id] = true
			r := row{statement: s}
			r.kind, r.shown = shownBy(t, root, &s, tests[s.id])
			rows = append(rows, r)
		}
		for id, by := range tests {
			if !known[id] {
				t.Errorf("%s shows MQTT-%s, which MQTT %s does not have", by[0].name, id, v)
			}
		}
	}
	return rows
}

func byID(list []showing) map[string][]showing {
	m := map[string][]showing{}
	for _, s := range list {
		m[s.id] = append(m[s.id], s)
	}
	return m
}

// shownBy says what shows a statement, or why nothing does.
func shownBy(t *testing.T, root string, s *statement, tests []showing) (kind, text string) {
	t.Helper()
	var by []string
	for _, c := range tests {
		by = append(by, fmt.Sprintf("[%s](tests/conformance/%s)", c.name, c.file))
	}
	if where, ok := strings.CutPrefix(s.note, "see: "); ok {
		by = append(by, elsewhere(t, root, where)...)
	}
	reason, none := strings.CutPrefix(s.note, "none: ")
	switch {
	case none && len(by) > 0:
		t.Errorf("MQTT %s, %s has a test and a reason for having none", s.version, s.id)
	case none:
		return "none", "no test: " + reason
	case len(by) > 0:
		return "tested", strings.Join(by, ", ")
	case s.binds == "client":
		return "client", "binds the client only"
	}
	t.Errorf("MQTT %s, %s binds the server and has neither a test nor a reason: %s", s.version, s.id, s.text)
	return "none", ""
}

// elsewhere checks that the tests of "directory TestA, TestB" are there, and links to their files.
func elsewhere(t *testing.T, root, where string) []string {
	t.Helper()
	dir, names, _ := strings.Cut(where, " ")
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for name := range strings.SplitSeq(names, ", ") {
		is := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(t \*testing\.T\)`)
		i := slices.IndexFunc(files, func(file string) bool {
			src, err := os.ReadFile(file)
			return err == nil && is.Match(src)
		})
		if i < 0 {
			t.Errorf("statements.tsv names %s of %s, which is not there", name, dir)
			continue
		}
		out = append(out, fmt.Sprintf("[%s](%s/%s)", name, dir, filepath.Base(files[i])))
	}
	return out
}

func render(rows []row) string {
	var b strings.Builder
	b.WriteString("# Conformance\n\n" +
		"Every normative statement of MQTT 3.1.1 and MQTT 5.0 in words of our own, and the test that shows it or the reason why there is none. " +
		"The tests run against a broker process, with raw packets: `go test ./tests/conformance -run TestMQTT/5.0/MQTT-3.1.0-1`. " +
		"What binds the client is tested where the server has to notice a breach.\n\n" +
		"TestRocketMQ runs the same tests with messages in RocketMQ " + rocketmqtest.V540 + ", but for those listed at the end.\n\n" +
		"This file is written by `go test ./tests/conformance -update`.\n\n" +
		"| | statements | tested | bind the client only | no test, with a reason |\n| --- | --- | --- | --- | --- |\n")
	for _, v := range []string{"3.1.1", "5.0"} {
		n := map[string]int{}
		for _, r := range rows {
			if r.version == v {
				n[""]++
				n[r.kind]++
			}
		}
		fmt.Fprintf(&b, "| MQTT %s | %d | %d | %d | %d |\n", v, n[""], n["tested"], n["client"], n["none"])
	}
	version := ""
	for _, r := range rows {
		if r.version != version {
			version = r.version
			fmt.Fprintf(&b, "\n## MQTT %s\n\n| Statement | Binds | In short | Shown by |\n| --- | --- | --- | --- |\n", version)
		}
		fmt.Fprintf(&b, "| MQTT-%s | %s | %s | %s |\n", r.id, r.binds, r.text, r.shown)
	}
	b.WriteString("\n## Not run on RocketMQ\n\n| Test | Why |\n| --- | --- |\n")
	reasons := leftOut()
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, reasons[name])
	}
	return b.String()
}
