// Package wire is the little of MQTT 3.1.1 that the load generator speaks: packets of the set-up, PUBLISH templates in which only
// packet id, sequence number and times are patched, and a parser that hands out what is in the caller's buffer.
//
// It is not internal/mqtt: the generator shall find what the broker's codec does wrong, and its cost shall not move with it.
package wire

import "encoding/binary"

// Types of packets.
const (
	CONNECT    = 1
	CONNACK    = 2
	PUBLISH    = 3
	PUBACK     = 4
	PUBREC     = 5
	PUBREL     = 6
	PUBCOMP    = 7
	SUBSCRIBE  = 8
	SUBACK     = 9
	PINGRESP   = 13
	DISCONNECT = 14
)

// AppendConnect appends CONNECT of MQTT 3.1.1, without keep-alive: the generator may be busy for longer.
func AppendConnect(dst []byte, clientID string, clean bool) []byte {
	flags := byte(0)
	if clean {
		flags = 2
	}
	dst = appendHeader(dst, CONNECT<<4, 10+2+len(clientID))
	dst = append(dst, 0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 0)
	return appendString(dst, clientID)
}

// AppendSubscribe appends SUBSCRIBE with all filters at one QoS.
func AppendSubscribe(dst []byte, id uint16, qos byte, filters ...string) []byte {
	length := 2
	for _, f := range filters {
		length += 2 + len(f) + 1
	}
	dst = appendHeader(dst, SUBSCRIBE<<4|2, length)
	dst = binary.BigEndian.AppendUint16(dst, id)
	for _, f := range filters {
		dst = append(appendString(dst, f), qos)
	}
	return dst
}

// AppendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP.
func AppendAck(dst []byte, kind byte, id uint16) []byte {
	first := kind << 4
	if kind == PUBREL {
		first |= 2
	}
	return append(dst, first, 2, byte(id>>8), byte(id))
}

// AppendDisconnect appends DISCONNECT.
func AppendDisconnect(dst []byte) []byte { return append(dst, DISCONNECT<<4, 0) }

func appendHeader(dst []byte, first byte, length int) []byte {
	dst = append(dst, first)
	for ; length >= 0x80; length >>= 7 {
		dst = append(dst, byte(length)|0x80)
	}
	return append(dst, byte(length))
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
