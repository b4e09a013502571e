package config

import (
	"errors"
	"fmt"
	"strings"
)

// The conf files, in the order in which they are read.
const (
	ConnectConf = "connect.conf"
	ServiceConf = "service.conf"
	MetaConf    = "meta.conf"
)

func confFiles() []string { return []string{ConnectConf, ServiceConf, MetaConf} }

// Key declares one configuration key.
type Key struct {
	Name    string
	Aliases []string // other names for it
	File    string   // where it belongs; it is read from the others too
	Default string   // as one would write it; empty: see Doc
	Allowed string   // which values it takes
	Doc     string   // what it does, one sentence
	Java    bool     // the Java proxy has it, under this name
	Nothing string   // why it means nothing here, for a key of the Java proxy that is only accepted
	Differs string   // what it does here that it does not do there, for a key of the Java proxy; empty: the same
	There   string   // the Java proxy's default, where ours is another one
	Secret  bool     // its value is never shown
	Exact   bool     // spaces around its value count

	set func(*Config, string) error
	get func(*Config) string
}

// Env is the name of the environment variable that sets k.
func (k *Key) Env() string { return envPrefix + envName(k.Name) }

// value shows what is in effect.
func (k *Key) value(c *Config) string {
	if k.get == nil {
		return ""
	}
	v := k.get(c)
	if k.Secret && v != "" {
		return "********"
	}
	return v
}

// Keys returns all keys, in the order of the files and the tables.
func Keys() []Key {
	var all []Key
	for _, group := range [][]Key{listenKeys(), exporterKeys(), connectionKeys(), clientKeys(), authKeys(), storeKeys(), rocketmqKeys(), eventKeys(), logKeys(), metaKeys(), javaKeys()} {
		all = append(all, group...)
	}
	return all
}

type option func(*Key)

// java marks a key that the Java proxy has.
func java(k *Key) { k.Java = true }

// differs says what a key of the Java proxy does here and not there.
func differs(how string) option { return func(k *Key) { k.Differs = how } }

// there is the Java proxy's default, which is not ours.
func there(def string) option { return func(k *Key) { k.There = def } }

func secret(k *Key) { k.Secret = true }

// exact is for what two sides must spell alike: the Java proxy does not trim values either.
func exact(k *Key) { k.Exact = true }

func alias(names ...string) option { return func(k *Key) { k.Aliases = names } }

// key declares a key whose values are of kind t and are kept in the field of Config that field points at.
func key[T any](file, name, def string, t kind[T], field func(*Config) *T, doc string, opts ...option) Key {
	k := Key{
		Name: name, File: file, Default: def, Allowed: t.allowed, Doc: doc,
		set: func(c *Config, s string) error {
			v, err := t.parse(s)
			var entry *entryError
			switch {
			case errors.As(err, &entry):
				return fmt.Errorf("%q: want %s", entry.value, t.allowed)
			case err != nil:
				return fmt.Errorf("want %s", t.allowed)
			}
			*field(c) = v
			return nil
		},
		get: func(c *Config) string { return t.format(*field(c)) },
	}
	for _, o := range opts {
		o(&k)
	}
	return k
}

// nothing declares keys of the Java proxy that are accepted with any value and do nothing, for one reason.
func nothing(file, why string, names ...string) []Key {
	keys := make([]Key, len(names))
	for i, n := range names {
		keys[i] = Key{Name: n, File: file, Java: true, Nothing: why, Secret: strings.Contains(strings.ToLower(n), "password")}
	}
	return keys
}

// index finds keys by name and alias.
func index(keys []Key) map[string]*Key {
	m := make(map[string]*Key, len(keys))
	for i := range keys {
		m[keys[i].Name] = &keys[i]
		for _, a := range keys[i].Aliases {
			m[a] = &keys[i]
		}
	}
	return m
}
