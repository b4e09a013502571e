// Package internal_test holds the rules that no single package can hold.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rocketmqtt/rocketmqtt/"

// allowed says which packages of ours a package may import: server -> session -> router -> store, and the rest hangs
// off that line. The table is closed: a new package is added here, with a reason where it is not plain.
func allowed() map[string][]string {
	return map[string][]string{
		"cmd/rocketmqtt": {"internal/config", "internal/proxy"},

		// proxy builds all of it; nobody but cmd imports it.
		"internal/proxy": {
			"internal/auth", "internal/config", "internal/events", "internal/metrics", "internal/mqtt", "internal/pulse", "internal/remoting", "internal/router", "internal/server", "internal/session",
			"internal/store", "internal/store/changelog", "internal/store/local", "internal/store/retained", "internal/store/rocketmq", "internal/throttle", "internal/topic",
		},

		"internal/server": {"internal/mqtt", "internal/pulse", "internal/session", "internal/throttle"},
		"internal/session": {
			"internal/auth", "internal/inflight", "internal/mqtt", "internal/router", "internal/store", "internal/throttle", "internal/topic",
		},
		// events are messages about clients; sessions know only that somebody is told.
		"internal/events": {"internal/session", "internal/store", "internal/throttle"},
		// router speaks messages and topics, not packets, so it is tested without a connection.
		"internal/router": {"internal/store", "internal/topic"},
		// inflight keeps packet ids of packets and positions of records; it knows nothing of either's owner.
		"internal/inflight": {"internal/mqtt", "internal/store"},

		"internal/store": {},
		// blocks is which parts of a log a reader can skip, whoever keeps the log.
		"internal/store/blocks": {},
		"internal/store/local":  {"internal/store", "internal/store/blocks", "internal/store/view", "internal/throttle", "internal/topic"},
		// view is what a changelog of sessions amounts to, whoever keeps that.
		"internal/store/view":      {"internal/store"},
		"internal/store/changelog": {"internal/store", "internal/store/view", "internal/throttle"},
		// retained is the same for retained messages, which need no owner: a log of many nodes, and what it amounts to.
		"internal/store/retained": {"internal/store", "internal/store/view", "internal/topic"},

		// mqtt: the properties that a publish hands on are bytes of MQTT in store.Message; in RocketMQ they are properties that its
		// consumers can read.
		"internal/store/rocketmq": {
			"internal/mqtt", "internal/pulse", "internal/remoting", "internal/remoting/message", "internal/store", "internal/store/blocks", "internal/store/changelog",
			"internal/store/retained", "internal/store/view", "internal/throttle", "internal/topic",
		},

		// Test kits: no package above lists them, so no production code imports them.
		"internal/store/local/crashfs":   {},
		"internal/store/storetest":       {"internal/store", "internal/topic"},
		"internal/remoting/remotingtest": {},
		"internal/rocketmqtest":          {}, // independent of the client that it is to test
		"internal/rocketmqtest/fetch":    {"internal/rocketmqtest"},

		// The codec of stored messages: bytes in, bytes out.
		"internal/remoting/message": {},

		// Leaves: nothing of ours.
		"internal/auth":     {},
		"internal/config":   {},
		"internal/metrics":  {},
		"internal/mqtt":     {},
		"internal/pulse":    {},
		"internal/remoting": {},
		"internal/throttle": {},
		"internal/topic":    {},
	}
}

// doors says which package a third party may be imported by. A module that is not named here may be imported nowhere:
// a new dependency needs an argument, and a place.
func doors() map[string][]string {
	return map[string][]string{
		"github.com/alecthomas/kong":       {"cmd/rocketmqtt"},
		"github.com/magiconair/properties": {"internal/config"},
		"github.com/coder/websocket":       {"internal/server"},
		"github.com/cockroachdb/pebble/v2": {"internal/store/changelog", "internal/store/local", "internal/store/local/crashfs", "internal/store/retained", "internal/store/rocketmq", "internal/store/view"},
		"github.com/cespare/xxhash/v2":     {"internal/session", "internal/store/changelog", "internal/store/retained", "internal/store/rocketmq"},
		"golang.org/x/sys/unix":            {"internal/server"},
		// RocketMQ producers may compress bodies with zstd.
		"github.com/klauspost/compress/zstd": {"internal/remoting/message"},
		// Counters are each package's own; only who shows them needs the library.
		"github.com/prometheus/client_golang": {"internal/metrics"},
	}
}

// forbidden says what of the standard library a package must not import. "" stands for all packages.
func forbidden() map[string][]string {
	return map[string][]string{
		// net/http/pprof opens /debug/pprof on the default mux of whoever imports it; flag and expvar are global too.
		"":                  {"net/http/pprof", "expvar", "log", "flag", "math/rand", "io/ioutil"},
		"internal/mqtt":     {"net", "os", "time"},
		"internal/topic":    {"net", "os", "time"},
		"internal/inflight": {"net", "os", "time"},
		"internal/router":   {"net", "os"},
		"internal/session":  {"net", "os"}, // driven by packets in and packets out
		"internal/store":    {"net", "os"},
		"internal/auth":     {"net", "os"},
		// A codec: addresses are net/netip's.
		"internal/remoting/message": {"net", "os"},
	}
}

// file is one Go file that is not a test.
type file struct {
	name    string
	pkg     string // directory from the root
	imports []string
}

// sources reads the imports of every Go file below internal and cmd that is not a test.
func sources(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	tree := os.DirFS(root)
	var out []file
	for _, top := range []string{"internal", "cmd"} {
		err := fs.WalkDir(tree, top, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			one := file{name: name, pkg: path.Dir(name)}
			for _, i := range f.Imports {
				p, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					return err
				}
				one.imports = append(one.imports, p)
			}
			out = append(out, one)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < len(allowed()) {
		t.Fatalf("only %d files found below %s", len(out), root)
	}
	return out
}

// Dependencies run in one direction.
func TestImportsOfOurs(t *testing.T) {
	rules := allowed()
	for _, f := range sources(t) {
		ours, known := rules[f.pkg]
		if !known {
			t.Errorf("%s: package %s is not in the table of internal/imports_test.go; add it, with what it may import", f.name, f.pkg)
			continue
		}
		for _, i := range f.imports {
			if p, ok := strings.CutPrefix(i, module); ok && !slices.Contains(ours, p) {
				t.Errorf("%s: %s must not import %s; it may import %v", f.name, f.pkg, p, ours)
			}
		}
	}
}

// Each third party has one door, so that it can be replaced there. What only tests use is not asked about.
func TestImportsOfOthers(t *testing.T) {
	rules := doors()
	for _, f := range sources(t) {
		for _, i := range f.imports {
			host, _, _ := strings.Cut(i, "/")
			if strings.HasPrefix(i, module) || !strings.Contains(host, ".") {
				continue
			}
			var places []string
			for m, p := range rules {
				if i == m || strings.HasPrefix(i, m+"/") {
					places = p
				}
			}
			if !slices.Contains(places, f.pkg) {
				t.Errorf("%s: %s must not import %s; its places are %v", f.name, f.pkg, i, places)
			}
		}
	}
}

func TestImportsOfTheStandardLibrary(t *testing.T) {
	rules := forbidden()
	for _, f := range sources(t) {
		for _, i := range f.imports {
			if slices.Contains(rules[""], i) || slices.Contains(rules[f.pkg], i) {
				t.Errorf("%s: %s must not import %s", f.name, f.pkg, i)
			}
		}
	}
}

// Whatever a package may import has rules of its own.
func TestTableIsClosed(t *testing.T) {
	rules := allowed()
	for p, ours := range rules {
		for _, o := range ours {
			if _, ok := rules[o]; !ok {
				t.Errorf("%s may import %s, which is not in the table", p, o)
			}
		}
	}
}
