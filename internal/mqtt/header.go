package mqtt

import "strconv"

const (
	// MaxLength is the largest remaining length that a fixed header can express, in bytes [MQTT 5.0, 1.5.5].
	MaxLength = 1<<28 - 1
	// MaxHeader is the longest fixed header, in bytes.
	MaxHeader = 5
)

// ParseHeader reads the fixed header at the start of b. n is the header's size in bytes, and 0 when b ends before
// it does; then more bytes are needed, and the header is zero. An error is an *Error and is told as soon as
// the bytes that show it are there: a wrong type or flags from the first byte on.
//
// What depends on the version of the connection is left to Header.Check.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	h = Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0F}
	if err := checkFlags(h.Type, h.Flags); err != nil {
		return Header{}, 0, err
	}
	for i := 1; i < min(len(b), MaxHeader); i++ {
		h.Length |= int(b[i]&0x7F) << (7 * (i - 1))
		if b[i] < 0x80 {
			h.Overlong = i > 1 && b[i] == 0
			if h.Length != 0 && (h.Type == PINGREQ || h.Type == PINGRESP) {
				return Header{}, 0, malformed("ping packet with a body")
			}
			return h, i + 1, nil
		}
	}
	if len(b) >= MaxHeader {
		return Header{}, 0, malformed("remaining length of more than four bytes")
	}
	return Header{}, 0, nil
}

// Check tells whether h may stand in a connection of version v; ParseHeader cannot know. An error is an *Error.
func (h Header) Check(v Version) error {
	if h.Type == AUTH && v < V5 {
		return malformed("AUTH packet below MQTT 5") // 3.1.1: [MQTT-2.2.2-2], type 15 is reserved
	}
	if h.Overlong && v >= V5 {
		return malformed("remaining length is not in its shortest form") // [MQTT-1.5.5-1]; 3.1.1 has no such rule
	}
	return checkVersionFlags(h.Type, v, h.Flags)
}

// checkFlags refuses what no version allows.
func checkFlags(t Type, flags byte) error {
	switch t {
	case 0:
		return malformed("packet type 0")
	case PUBLISH:
		return checkPublishFlags(flags)
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		flags &^= flagDup // MQTT 3.1 sets DUP when it sends one of these again; see checkVersionFlags
	}
	if flags != wantFlags(t) {
		return malformed("reserved flags in the fixed header") // [MQTT-2.1.3-1]
	}
	return nil
}

// checkVersionFlags refuses what version v does not allow.
func checkVersionFlags(t Type, v Version, flags byte) error {
	if v <= V31 || t == PUBLISH {
		return checkFlags(t, flags)
	}
	if t == 0 || flags != wantFlags(t) { // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
		return malformed("reserved flags in the fixed header")
	}
	return nil
}

// The flags of PUBLISH, and those that some packets must have [MQTT 5.0, table 2-2].
const (
	flagRetain   = 0x01
	flagDup      = 0x08
	flagReserved = 0x02
)

func wantFlags(t Type) byte {
	if t == PUBREL || t == SUBSCRIBE || t == UNSUBSCRIBE {
		return flagReserved
	}
	return 0
}

func checkPublishFlags(flags byte) error {
	switch qos := flags >> 1 & 3; {
	case qos == 3:
		return malformed("PUBLISH with QoS 3") // [MQTT-3.3.1-4]
	case qos == 0 && flags&flagDup != 0:
		return malformed("PUBLISH with DUP at QoS 0") // [MQTT-3.3.1-2]
	}
	return nil
}

// String is the packet's name in the specification.
func (t Type) String() string {
	if t >= CONNECT && t <= AUTH {
		return [...]string{
			CONNECT: "CONNECT", CONNACK: "CONNACK", PUBLISH: "PUBLISH", PUBACK: "PUBACK", PUBREC: "PUBREC",
			PUBREL: "PUBREL", PUBCOMP: "PUBCOMP", SUBSCRIBE: "SUBSCRIBE", SUBACK: "SUBACK", UNSUBSCRIBE: "UNSUBSCRIBE",
			UNSUBACK: "UNSUBACK", PINGREQ: "PINGREQ", PINGRESP: "PINGRESP", DISCONNECT: "DISCONNECT", AUTH: "AUTH",
		}[t]
	}
	return "packet type " + strconv.Itoa(int(t))
}

// String is the version as users write it, such as 3.1.1.
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + strconv.Itoa(int(v))
}
