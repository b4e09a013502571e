package config

import (
	"reflect"
	"strings"
	"testing"
)

// Names must be told apart by people and by the environment's spelling of them.
func TestKeysAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, k := range Keys() {
		for _, n := range append([]string{k.Name}, k.Aliases...) {
			if other, ok := seen[squeeze(envName(n))]; ok {
				t.Errorf("%s and %s cannot be told apart in the environment", other, n)
			}
			seen[squeeze(envName(n))] = n
		}
	}
}

// A default is written as it is shown, so that the tables and `check` agree.
func TestDefaultsAreCanonical(t *testing.T) {
	for _, k := range Keys() {
		if k.Default == "" {
			continue
		}
		var c Config
		if err := k.set(&c, k.Default); err != nil {
			t.Errorf("%s: default %q: %v", k.Name, k.Default, err)
			continue
		}
		if got := k.get(&c); got != k.Default {
			t.Errorf("%s: default %q is shown as %q", k.Name, k.Default, got)
		}
	}
}

// Every field of Config is set by a key, and every key that means something sets a field of its own.
func TestKeysAndFieldsMatch(t *testing.T) {
	samples := []string{"7", "true", "SYNC_FLUSH", "128MB", "2m", "error", "json", "rocketmq", "::1", "h:1", "text", "never"}
	set := map[string]string{"LoopbackOnly": "allowAnonymous"} // derived in complete
	for _, k := range Keys() {
		if k.Nothing != "" {
			continue
		}
		changed := ""
		for _, s := range samples {
			var c Config
			if k.set(&c, s) != nil {
				continue
			}
			v := reflect.ValueOf(c)
			for i := range v.NumField() {
				if !v.Field(i).IsZero() {
					changed = v.Type().Field(i).Name
				}
			}
		}
		if other, taken := set[changed]; changed == "" || taken {
			t.Errorf("%s sets field %q, which %q sets", k.Name, changed, other)
		}
		set[changed] = k.Name
	}
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		if set[typ.Field(i).Name] == "" {
			t.Errorf("no key sets Config.%s", typ.Field(i).Name)
		}
	}
}

func TestEnvNames(t *testing.T) {
	for key, want := range map[string]string{
		"mqttPort": "MQTT_PORT", "maxPacketSizeInByte": "MAX_PACKET_SIZE_IN_BYTE", "NAMESRV_ADDR": "NAMESRV_ADDR",
		"clientP2pTopic": "CLIENT_P2P_TOPIC", "username": "USERNAME",
	} {
		if got := envName(key); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abc", "abxc", 1},
		{"kitten", "sitting", 3},
		{"abcd", "badc", 2},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%s to %s: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// Sentences of the tables end with a full stop and fit a Markdown table.
func TestDocs(t *testing.T) {
	for _, k := range Keys() {
		if k.Nothing == "" && (!strings.HasSuffix(k.Doc, ".") || strings.ContainsAny(k.Doc, "|\n")) {
			t.Errorf("%s: %q", k.Name, k.Doc)
		}
	}
}
