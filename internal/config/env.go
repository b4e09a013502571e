package config

import (
	"slices"
	"strings"
	"unicode"
)

const envPrefix = "ROCKETMQTT_"

// envName writes a key in capitals, its words split by "_": maxPacketSizeInByte is MAX_PACKET_SIZE_IN_BYTE.
func envName(key string) string {
	if strings.Contains(key, "_") {
		return strings.ToUpper(key)
	}
	var b strings.Builder
	lower := false
	for _, r := range key {
		if lower && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		lower = !unicode.IsUpper(r)
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

// readEnv takes the settings out of environ ("NAME=value", as os.Environ). Underscores do not count, so
// ROCKETMQTT_MQTTPORT works too. ROCKETMQTT_CONF is the command line's.
func readEnv(environ []string, keys []Key) []setting {
	names := make(map[string]string, len(keys))
	for n, k := range index(keys) {
		names[squeeze(envName(n))] = k.Name
	}
	var out []setting
	for _, e := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(e, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || rest == "CONF" {
			continue
		}
		key, known := names[squeeze(rest)]
		if !known {
			key = rest
		}
		out = append(out, setting{key: key, value: value, from: name})
	}
	return out
}

func squeeze(s string) string { return strings.ReplaceAll(strings.ToUpper(s), "_", "") }
