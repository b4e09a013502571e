package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Options say where a configuration comes from. The zero value gives the defaults.
type Options struct {
	ConfDir string   // directory of the conf files; empty: none are read
	DataDir string   // as --set dataDir=..., and stronger
	Set     []string // "key=value"
	Environ []string // "NAME=value", as os.Environ
}

// Value is one key of the effective configuration.
type Value struct {
	Key    string
	Value  string // masked when the key is a secret
	Source string // where it was said, or why it is what it is
}

// Report says what Load found, for people to read.
type Report struct {
	Values   []Value  // every key that does something, in the order of Keys
	Ignored  []string // keys of the Java proxy that were set and mean nothing here, each with the reason
	Differs  []string // what will not be as with the Java proxy, when the conf directory is one of its; else none
	Warnings []string // probably mistakes
}

// Load reads, checks and completes a configuration. The Report is never nil. The error lists every mistake, one on a
// line, and wraps ErrInvalid; with an error the Config is nil.
func Load(o Options) (*Config, *Report, error) {
	l := &loader{
		keys:   Keys(),
		config: &Config{},
		report: &Report{},
		said:   map[string]setting{},
		why:    map[string]string{},
	}
	l.index = index(l.keys)
	l.defaults()
	for _, layer := range l.layers(o) {
		l.take(layer)
	}
	l.apply()
	if len(l.errs) == 0 { // rules between keys say nothing useful about keys that are wrong alone
		l.complete(o.ConfDir)
		l.differ()
	}
	if len(l.errs) > 0 {
		return nil, l.report, fmt.Errorf("%w:\n%w", ErrInvalid, errors.Join(l.errs...))
	}
	l.describe()
	return l.config, l.report, nil
}

type loader struct {
	keys   []Key
	index  map[string]*Key
	config *Config
	report *Report
	said   map[string]setting // what holds, by Key.Name
	why    map[string]string  // reasons for values that nobody said, by Key.Name
	errs   []error
}

func (l *loader) fail(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

func (l *loader) warn(format string, args ...any) {
	l.report.Warnings = append(l.report.Warnings, fmt.Sprintf(format, args...))
}

func (l *loader) defaults() {
	for i := range l.keys {
		k := &l.keys[i]
		if k.Default == "" {
			continue
		}
		if err := k.set(l.config, k.Default); err != nil {
			l.fail("default of %s: %w", k.Name, err)
		}
	}
}

// layers returns the settings of each source, the weakest first.
func (l *loader) layers(o Options) [][]setting {
	var files, set []setting
	if o.ConfDir != "" {
		var errs []error
		files, errs = readDir(o.ConfDir)
		l.errs = append(l.errs, errs...)
	}
	for _, s := range o.Set {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			l.fail("--set %s: want key=value", s)
			continue
		}
		set = append(set, setting{key: strings.TrimSpace(k), value: v, from: "--set"})
	}
	layers := [][]setting{files, readEnv(o.Environ, l.keys), set}
	if o.DataDir != "" {
		layers = append(layers, []setting{{key: "dataDir", value: o.DataDir, from: "--data-dir"}})
	}
	return layers
}

// take lets the settings of one source replace what weaker ones said.
func (l *loader) take(layer []setting) {
	here := map[string]string{}
	for _, s := range layer {
		k := l.index[s.key]
		if k == nil {
			l.unknown(s)
			continue
		}
		if s.file != "" && s.file != k.File {
			l.warn("%s: %s belongs in %s; it counts all the same", s.from, s.key, k.File)
		}
		if before, twice := here[k.Name]; twice {
			l.warn("%s: %s was said before (%s); this one counts", s.from, s.key, before)
		}
		here[k.Name] = s.from
		l.said[k.Name] = s
	}
}

func (l *loader) unknown(s setting) {
	hint := ""
	if env, ok := strings.CutPrefix(s.from, envPrefix); ok {
		names := make([]string, len(l.keys))
		for i := range l.keys {
			names[i] = envName(l.keys[i].Name)
		}
		if n := nearest(env, names); n != "" {
			hint = "; did you mean " + envPrefix + n + "?"
		}
		l.warn("%s: no such key%s", s.from, hint)
		return
	}
	names := make([]string, len(l.keys))
	for i := range l.keys {
		names[i] = l.keys[i].Name
	}
	if n := nearest(s.key, names); n != "" {
		hint = "; did you mean " + n + "?"
	}
	l.warn("%s: no key is called %q%s", s.from, s.key, hint)
}

// apply puts what was said into the Config.
func (l *loader) apply() {
	for i := range l.keys {
		k := &l.keys[i]
		s, ok := l.said[k.Name]
		if !ok {
			continue
		}
		value := strings.TrimSpace(s.value)
		if value == "" {
			delete(l.said, k.Name)
			l.why[k.Name] = "default (empty in " + s.from + ")"
			continue
		}
		if k.Nothing != "" {
			l.report.Ignored = append(l.report.Ignored, fmt.Sprintf("%s (%s): %s", k.Name, s.from, k.Nothing))
			continue
		}
		if k.Exact && value != s.value {
			l.warn("%s: %s begins or ends with white space, which counts", s.from, k.Name)
			value = s.value
		}
		if err := k.set(l.config, value); err != nil {
			l.fail("%s: %s=%s: %w", s.from, k.Name, shown(k, value), err)
		}
	}
}

// shown is a refused value as an error quotes it: short, on one line, and never a secret.
func shown(k *Key, value string) string {
	const most = 80
	if k.Secret {
		return "********"
	}
	if len(value) > most {
		value = value[:most] + "..."
	}
	return fmt.Sprintf("%q", value)
}

// where says where key was set, for messages about several keys.
func (l *loader) where(key string) string {
	if s, ok := l.said[key]; ok {
		return fmt.Sprintf("%s (%s)", key, s.from)
	}
	return key + " (default)"
}

func (l *loader) set(keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { _, ok := l.said[k]; return ok })
}

func (l *loader) describe() {
	for i := range l.keys {
		k := &l.keys[i]
		if k.Nothing != "" {
			continue
		}
		source := "default"
		if s, ok := l.said[k.Name]; ok {
			source = s.from
		}
		if why, ok := l.why[k.Name]; ok {
			source = why
		}
		l.report.Values = append(l.report.Values, Value{k.Name, k.value(l.config), source})
	}
}
