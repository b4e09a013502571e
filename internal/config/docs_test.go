package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables in README.md and docs/from-java.md, and the files in conf/")

const root = "../.."

// table renders the keys for README.md.
func table(keys []Key) string {
	var b strings.Builder
	b.WriteString("| Key | Default | Meaning | Values |\n| --- | --- | --- | --- |\n")
	file := ""
	for _, k := range keys {
		if k.Nothing != "" {
			continue
		}
		if k.File != file {
			file = k.File
			fmt.Fprintf(&b, "| *%s* | | | |\n", file)
		}
		def := k.Default
		if def != "" {
			def = "`" + def + "`"
		}
		name := "`" + k.Name + "`"
		if k.Java {
			name += " (J)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, def, cell(k.Doc), cell(k.Allowed))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// ignoredTable renders the keys without meaning, those with one reason on one line.
func ignoredTable(keys []Key) string {
	var b strings.Builder
	b.WriteString("| Keys | Why they do nothing here |\n| --- | --- |\n")
	for i := 0; i < len(keys); {
		if keys[i].Nothing == "" {
			i++
			continue
		}
		why, names := keys[i].Nothing, []string{}
		for ; i < len(keys) && keys[i].Nothing == why; i++ {
			names = append(names, "`"+keys[i].Name+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names, ", "), why)
	}
	return b.String()
}

// differingTable renders the keys that the Java proxy has with another meaning or default.
func differingTable(keys []Key) string {
	var b strings.Builder
	b.WriteString("| Key | Default there | Default here | What it does here and not there |\n| --- | --- | --- | --- |\n")
	for _, k := range keys {
		if k.Differs == "" && k.There == "" {
			continue
		}
		there, here := "", ""
		if k.There != "" {
			there, here = "`"+k.There+"`", "`"+k.Default+"`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, there, here, cell(k.Differs))
	}
	return b.String()
}

// confFile renders a conf file in which every key stands with its default, commented out.
func confFile(file string, keys []Key) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: Java properties, as the Java proxy reads them. Every key stands here with its default;\n"+
		"# take the # away to change it. README.md has the table of all keys.\n", file)
	for _, k := range keys {
		if k.File == file && k.Nothing == "" {
			fmt.Fprintf(&b, "\n%s#%s=%s\n", wrap(k.Doc+" Value: "+k.Allowed+".", 110), k.Name, k.Default)
		}
	}
	if file == MetaConf {
		b.WriteString("\n# The Java proxy's meta service has no counterpart here: its keys are accepted and do nothing.\n")
	}
	return b.String()
}

// wrap breaks text into comment lines of at most width letters.
func wrap(text string, width int) string {
	var b strings.Builder
	line := "#"
	for _, w := range strings.Fields(text) {
		if len(line)+1+len(w) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + w
	}
	return b.String() + line + "\n"
}

// between replaces what stands between the markers of name in a document.
func between(t *testing.T, doc, name, text string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	head, rest, ok := strings.Cut(doc, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the document lacks the markers of %s", name)
	}
	return head + begin + text + end + tail
}

// golden compares a file of the repository with what the declarations say, or rewrites it.
func golden(t *testing.T, path, want string) {
	t.Helper()
	path = filepath.Join(root, path)
	got, err := os.ReadFile(path)
	if string(got) == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what the keys in internal/config declare (%v); run: go test ./internal/config -update", path, err)
}

func TestREADME(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	doc := between(t, string(b), "keys", table(Keys()))
	golden(t, "README.md", between(t, doc, "ignored keys", ignoredTable(Keys())))
}

func TestFromJava(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs/from-java.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "docs/from-java.md", between(t, string(b), "differing keys", differingTable(Keys())))
}

func TestConfFiles(t *testing.T) {
	for _, f := range confFiles() {
		golden(t, filepath.Join("conf", f), confFile(f, Keys()))
	}
}

// The files as shipped change nothing, and neither do they with every line in force.
func TestShippedConfIsTheDefault(t *testing.T) {
	want, _ := mustLoad(t, Options{})
	all := make([]string, 0, 6)
	for _, f := range confFiles() {
		b, err := os.ReadFile(filepath.Join(root, "conf", f))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
				line = rest
			}
			lines = append(lines, line)
		}
		all = append(all, f, strings.Join(lines, ""))
	}
	for name, conf := range map[string]string{"as shipped": filepath.Join(root, "conf"), "in force": dir(t, all...)} {
		got, r := mustLoad(t, Options{ConfDir: conf, Set: []string{"sslServerCertFile=/x", "sslServerKeyFile=/x"}})
		got.TLSCert, got.TLSKey = want.TLSCert, want.TLSKey // relative to the directory
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
		for _, w := range r.Warnings {
			if !strings.Contains(w, "enableTlsSever is false") && !strings.Contains(w, "was said before") {
				t.Errorf("%s: %s", name, w)
			}
		}
	}
}
