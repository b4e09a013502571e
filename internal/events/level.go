package events

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxLevel is the longest client id that is a topic level of its own, in bytes of that.
const maxLevel = 512

// level is the topic level and RocketMQ key that stand for a client id, which may be any text: what has a meaning in topics (/ + #), white space and other
// control characters, of which keys have none, and % are written as % and two hexadecimal digits. So different ids have different levels. A level that would be longer
// than maxLevel is "%long-" and a hash of the id.
func level(client string) string {
	var b strings.Builder
	for i := range len(client) {
		if c := client[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	if b.Len() > maxLevel {
		sum := sha256.Sum256([]byte(client))
		return "%long-" + hex.EncodeToString(sum[:16])
	}
	return b.String()
}

func plain(c byte) bool {
	switch c {
	case '/', '+', '#', '%', 0x7F:
		return false
	}
	return c > ' '
}
