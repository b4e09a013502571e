package mqtt

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang/packets"
)

// kinds3 are the packets that have a body below MQTT 5.
var kinds3 = slices.DeleteFunc(slices.Clone(kinds), func(t Type) bool { return t == AUTH || t == DISCONNECT })

// paho3 decodes a body of MQTT 3.1 or 3.1.1 with Paho's decoder, which shares no code with ours, nor with the one for MQTT 5.
func paho3(t Type, flags byte, body []byte) (paho.ControlPacket, error) {
	p, err := paho.NewControlPacketWithHeader(paho.FixedHeader{
		MessageType: byte(t), Dup: flags&flagDup != 0, Qos: flags >> 1 & 3, Retain: flags&flagRetain != 0, RemainingLength: len(body),
	})
	if err != nil {
		return nil, err
	}
	return p, p.Unpack(bytes.NewBuffer(bytes.Clone(body)))
}

// viewPaho3 is the view of one of its packets.
func viewPaho3(p paho.ControlPacket) view {
	v := view{}
	switch p := p.(type) {
	case *paho.ConnectPacket:
		v.add("version", p.ProtocolVersion)
		v.add("clean", p.CleanSession)
		v.add("keep alive", p.Keepalive)
		v.add("client", p.ClientIdentifier)
		present(&v, "user name", has(p.UsernameFlag, p.Username))
		present(&v, "password", has(p.PasswordFlag, string(p.Password)))
		v.add("receive maximum", math.MaxUint16) // what is not in these versions has its default
		v.add("problem", true)
		if p.WillFlag {
			v = append(v, fmt.Sprintf("will %d %v %x %x", p.WillQos, p.WillRetain, p.WillTopic, p.WillMessage))
		}
	case *paho.ConnackPacket:
		v.add("session present", p.SessionPresent)
		v.add("code", p.ReturnCode)
	case *paho.PublishPacket:
		v = append(v, fmt.Sprintf("publish %v %d %v %d %x %x", p.Dup, p.Qos, p.Retain, p.MessageID, p.TopicName, p.Payload))
	case *paho.SubscribePacket:
		v.add("id", p.MessageID)
		for i, f := range p.Topics {
			v = append(v, fmt.Sprintf("filter %x %d false false 0", f, p.Qoss[i]))
		}
	case *paho.SubackPacket:
		v.add("id", p.MessageID)
		v.add("codes", p.ReturnCodes)
	case *paho.UnsubscribePacket:
		v.add("id", p.MessageID)
		for _, f := range p.Topics {
			v.add("filter", f)
		}
	default:
		v.add("id", p.Details().MessageID)
	}
	return v
}

// TestPahoAndWeAgreeBelow5 shows that an independent decoder reads, of random valid packets of MQTT 3.1 and 3.1.1 that we
// encoded, what we meant, and that it encodes them to the same bytes.
func TestPahoAndWeAgreeBelow5(t *testing.T) {
	for _, typ := range kinds3 {
		for _, v := range []Version{V31, V311} {
			t.Run(fmt.Sprintf("%v/%v", typ, v), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(400) {
					g := gen{rand.New(rand.NewPCG(seed, uint64(typ)))}
					ours := g.packet(typ, v)
					b := ours.Append(nil, v)
					h, n, err := ParseHeader(b)
					if err != nil {
						t.Fatal(err)
					}
					theirs, err := paho3(typ, h.Flags, b[n:])
					if err != nil {
						t.Fatalf("seed %d: Paho refuses %x: %v", seed, b, err)
					}
					if got, want := viewPaho3(theirs).String(), viewOf(ours, v).String(); got != want {
						t.Fatalf("seed %d: Paho decodes %x to\n%s\nwant\n%s", seed, b, got, want)
					}
					var again bytes.Buffer
					if err := theirs.Write(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
						t.Fatalf("seed %d: Paho encodes\n%x, we\n%x (%v)", seed, again.Bytes(), b, err)
					}
				}
			})
		}
	}
}

// lenient3 lists the leniencies of Paho's decoder for MQTT 3.1.1; it does not know 3.1 apart from it.
var lenient3 = []leniency{
	{"reserved flags in the fixed header", nil, "flags are not checked [MQTT-2.2.2-2]"},
	{"PUBLISH with QoS 3", nil, "flags are not checked [MQTT-3.3.1-4]"},
	{"PUBLISH with DUP at QoS 0", nil, "flags are not checked [MQTT-3.3.1-2]"},
	{"bytes after the end of the packet", nil, "what follows is not looked at"},
	{"a field runs past the end", nil, "what is missing of a field is filled with zeros"},
	{"a string is not well-formed UTF-8, or has U+0000", nil, "strings are not checked [MQTT-1.5.3-1 -2]"},
	{"packet identifier 0", nil, "not checked [MQTT-2.3.1-1]"},
	{"unsupported protocol name or level", []Type{CONNECT}, "checked by another function"},
	{"reserved connect flag is set", []Type{CONNECT}, "checked by another function"},
	{"password without a user name", []Type{CONNECT}, "checked by another function"},
	{"will with QoS 3", []Type{CONNECT}, "not checked [MQTT-3.1.2-14]"},
	{"will QoS or will retain without a will", []Type{CONNECT}, "not checked [MQTT-3.1.2-13 -15]"},
	{"will topic is not a topic name", []Type{CONNECT}, "not checked"},
	{"reserved connect acknowledge flags", []Type{CONNACK}, "not checked"},
	{"session present in a refusal", []Type{CONNACK}, "not checked [MQTT-3.2.2-4]"},
	{"a return code that is reserved", []Type{CONNACK}, "not checked"},
	{"topic name with a wildcard", []Type{PUBLISH}, "not checked [MQTT-3.3.2-2]"},
	{"empty topic name without a topic alias", []Type{PUBLISH}, "not checked [MQTT-4.7.3-1]"},
	{"SUBSCRIBE without a topic filter", []Type{SUBSCRIBE}, "not checked [MQTT-3.8.3-3]"},
	{"empty topic filter", []Type{SUBSCRIBE, UNSUBSCRIBE}, "not checked [MQTT-4.7.3-1]"},
	{"requested QoS is not 0, 1 or 2", []Type{SUBSCRIBE}, "not checked [MQTT-3-8.3-4]"},
	{"UNSUBSCRIBE without a topic filter", []Type{UNSUBSCRIBE}, "not checked [MQTT-3.10.3-2]"},
	{"no reason codes", []Type{SUBACK}, "not checked"},
	{"a reason code that this packet cannot have", []Type{SUBACK}, "not checked [MQTT-3.9.3-2]"},
	{"a return code that SUBACK cannot have", []Type{SUBACK}, "not checked [MQTT-3.9.3-2]"},
	{"too many entries for the size of the packet", nil, "no bound"},
}

// strict3 lists what Paho refuses, or reads otherwise, though the specification allows it.
func strict3(p codec, body []byte) bool {
	c, ok := p.(*Connect)
	if !ok || c.Version != V31 {
		return false
	}
	flags := body[9]
	return !c.HasUsername && flags&connectUsername != 0 || // MQTT 3.1: the remaining length takes precedence over the flags
		!c.HasPassword && flags&connectPassword != 0
}

// FuzzPaho3 compares the two decoders on any body: what we accept Paho accepts and reads as the same, what we refuse it
// refuses too, but for what the tables list.
func FuzzPaho3(f *testing.F) {
	seed(f, kinds3...)
	f.Fuzz(func(t *testing.T, v, which, flags byte, body []byte) {
		typ := kinds3[int(which)%len(kinds3)]
		version := V31 + Version(v)%2
		if typ == CONNECT && bytes.HasPrefix(body, wire("0004'MQTT' 05")) || typ == CONNACK && version == V31 {
			return // MQTT 5; and 3.1, which has no session present, is read as 3.1.1
		}
		ours := packetOf(typ)
		ourErr := ours.Decode(version, flags&0x0F, body)
		theirs, theirErr := paho3(typ, flags, body)
		switch {
		case ourErr == nil && theirErr != nil:
			if !strict3(ours, body) {
				t.Fatalf("%v %x: Paho refuses it: %v", typ, body, theirErr)
			}
		case ourErr != nil && theirErr == nil:
			if !listed(lenient3, typ, ourErr) {
				t.Fatalf("%v %x: Paho accepts it, we do not: %v", typ, body, ourErr)
			}
		case ourErr == nil:
			if got, want := viewOf(ours, version).String(), viewPaho3(theirs).String(); got != want {
				t.Fatalf("%v %x: we decode\n%s\nPaho\n%s", typ, body, got, want)
			}
		}
	})
}
