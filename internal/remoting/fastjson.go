package remoting

import (
	"encoding/json"
	"fmt"
)

// unmarshal decodes a body that a peer wrote with fastjson, whose keys that are numbers have no quotes: {"brokerAddrs":{0:"10.0.0.1:10911"}}.
func unmarshal(body []byte, v any) error {
	if err := json.Unmarshal(quoteKeys(body), v); err != nil {
		return fmt.Errorf("body of %d bytes: %w", len(body), err)
	}
	return nil
}

// quoteKeys puts quotes around the keys of objects that have none. Anything else, errors included, is left to the JSON decoder.
func quoteKeys(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8)
	var open []byte // the objects and arrays that enclose b[i], as their first bytes
	key := false    // a key may begin here
	for i := 0; i < len(b); {
		n := 1
		switch ch := b[i]; ch {
		case ' ', '\t', '\r', '\n':
		case '"':
			n, key = stringLen(b[i:]), false
		case '{', '[':
			open = append(open, ch)
			key = ch == '{'
		case '}', ']':
			open, key = open[:max(len(open)-1, 0)], false
		case ',':
			key = len(open) > 0 && open[len(open)-1] == '{'
		default:
			if key {
				n, key = bareLen(b[i:]), false
				out = append(append(append(out, '"'), b[i:i+n]...), '"')
				i += n
				continue
			}
		}
		out = append(out, b[i:i+n]...)
		i += n
	}
	return out
}

// stringLen is the length of the string that b begins with, quotes included.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// bareLen is the length of the key without quotes that b begins with; at least 1.
func bareLen(b []byte) int {
	for i, ch := range b {
		switch ch {
		case ':', ',', '}', '{', '[', ']', '"', ' ', '\t', '\r', '\n', '\\':
			return max(i, 1)
		}
	}
	return len(b)
}
