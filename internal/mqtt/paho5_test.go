package mqtt

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.golang/packets"
)

// paho5 decodes a body of MQTT 5 with Paho's decoder, which shares no code with ours.
func paho5(t Type, flags byte, body []byte) (paho.Packet, error) {
	p := paho.NewControlPacket(byte(t)).Content
	if p, ok := p.(*paho.Publish); ok {
		p.Duplicate, p.QoS, p.Retain = flags&flagDup != 0, flags>>1&3, flags&flagRetain != 0
	}
	return p, p.Unpack(bytes.NewBuffer(bytes.Clone(body)))
}

// viewPaho5 is the view of one of its paho.
func viewPaho5(p paho.Packet) view {
	v := view{}
	switch p := p.(type) {
	case *paho.Connect:
		v.pahoConnect(p)
	case *paho.Connack:
		v.pahoConnack(p)
	case *paho.Publish:
		v = append(v, fmt.Sprintf("publish %v %d %v %d %x %x", p.Duplicate, p.QoS, p.Retain, p.PacketID, p.Topic, p.Payload))
		v.add("alias", value(p.Properties.TopicAlias))
		v.add("subscription id", value(p.Properties.SubscriptionIdentifier))
		v.pahoMessage(p.Properties)
	case *paho.Puback:
		v.pahoAck(p.PacketID, p.ReasonCode, p.Properties)
	case *paho.Pubrec:
		v.pahoAck(p.PacketID, p.ReasonCode, p.Properties)
	case *paho.Pubrel:
		v.pahoAck(p.PacketID, p.ReasonCode, p.Properties)
	case *paho.Pubcomp:
		v.pahoAck(p.PacketID, p.ReasonCode, p.Properties)
	case *paho.Subscribe:
		v.add("id", p.PacketID)
		v.add("subscription id", value(p.Properties.SubscriptionIdentifier))
		v.pahoUsers(p.Properties)
		for _, f := range p.Subscriptions {
			v = append(v, fmt.Sprintf("filter %x %d %v %v %d", f.Topic, f.QoS, f.NoLocal, f.RetainAsPublished, f.RetainHandling))
		}
	case *paho.Suback:
		v.pahoAck(p.PacketID, 0, p.Properties)
		v.add("codes", p.Reasons)
	case *paho.Unsuback:
		v.pahoAck(p.PacketID, 0, p.Properties)
		v.add("codes", p.Reasons)
	case *paho.Unsubscribe:
		v.add("id", p.PacketID)
		v.pahoUsers(p.Properties)
		for _, f := range p.Topics {
			v.add("filter", f)
		}
	case *paho.Disconnect:
		v.add("code", p.ReasonCode)
		present(&v, "session expiry", p.Properties.SessionExpiryInterval)
		v.add("server", p.Properties.ServerReference)
		v.pahoAck(0, 0, p.Properties)
	case *paho.Auth:
		v.add("code", p.ReasonCode)
		v.add("method", p.Properties.AuthMethod)
		v.add("data", p.Properties.AuthData)
		v.pahoAck(0, 0, p.Properties)
	}
	return v
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (v *view) pahoUsers(p *paho.Properties) {
	for _, u := range p.User {
		*v = append(*v, fmt.Sprintf("user %x %x", u.Key, u.Value))
	}
}

func (v *view) pahoAck(id uint16, code byte, p *paho.Properties) {
	v.add("id", id)
	v.add("code", code)
	v.add("reason", p.ReasonString)
	v.pahoUsers(p)
}

func (v *view) pahoMessage(p *paho.Properties) {
	present(v, "expiry", p.MessageExpiry)
	present(v, "payload format", p.PayloadFormat)
	v.add("content type", p.ContentType)
	v.add("response topic", p.ResponseTopic)
	v.add("correlation data", p.CorrelationData)
	v.pahoUsers(p)
}

func (v *view) pahoConnect(c *paho.Connect) {
	v.add("version", c.ProtocolVersion)
	v.add("clean", c.CleanStart)
	v.add("keep alive", c.KeepAlive)
	v.add("client", c.ClientID)
	present(v, "user name", has(c.UsernameFlag, c.Username))
	present(v, "password", has(c.PasswordFlag, string(c.Password)))
	p := c.Properties
	v.add("session expiry", value(p.SessionExpiryInterval))
	if p.ReceiveMaximum == nil {
		p.ReceiveMaximum = new(uint16(math.MaxUint16))
	}
	v.add("receive maximum", *p.ReceiveMaximum)
	v.add("maximum packet size", value(p.MaximumPacketSize))
	v.add("topic alias maximum", value(p.TopicAliasMaximum))
	v.add("response", value(p.RequestResponseInfo) != 0)
	v.add("problem", p.RequestProblemInfo == nil || *p.RequestProblemInfo != 0)
	v.add("method", p.AuthMethod)
	v.add("data", p.AuthData)
	v.pahoUsers(p)
	if c.WillFlag {
		*v = append(*v, fmt.Sprintf("will %d %v %x %x", c.WillQOS, c.WillRetain, c.WillTopic, c.WillMessage))
		v.add("will delay", value(c.WillProperties.WillDelayInterval))
		v.pahoMessage(c.WillProperties)
	}
}

func (v *view) pahoConnack(c *paho.Connack) {
	v.add("session present", c.SessionPresent)
	v.add("code", c.ReasonCode)
	p := c.Properties
	present(v, "session expiry", p.SessionExpiryInterval)
	present(v, "receive maximum", p.ReceiveMaximum)
	present(v, "maximum QoS", p.MaximumQOS)
	present(v, "retain", p.RetainAvailable)
	present(v, "maximum packet size", p.MaximumPacketSize)
	v.add("assigned", p.AssignedClientID)
	present(v, "topic alias maximum", p.TopicAliasMaximum)
	present(v, "wildcard", p.WildcardSubAvailable)
	present(v, "subscription ids", p.SubIDAvailable)
	present(v, "shared", p.SharedSubAvailable)
	present(v, "keep alive", p.ServerKeepAlive)
	v.add("response", p.ResponseInfo)
	v.add("server", p.ServerReference)
	v.add("method", p.AuthMethod)
	v.add("data", p.AuthData)
	v.add("reason", p.ReasonString)
	v.pahoUsers(p)
}

// TestPahoDecodesOurs shows that an independent decoder reads, of random valid packets of MQTT 5 that we encoded, what we meant.
func TestPahoDecodesOurs(t *testing.T) {
	for _, typ := range kinds {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(400) {
				g := gen{rand.New(rand.NewPCG(seed, uint64(typ)))}
				ours := g.packet(typ, V5)
				b := ours.Append(nil, V5)
				h, n, err := ParseHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				if typ == DISCONNECT && h.Length == 0 {
					continue // see strict5
				}
				theirs, err := paho5(typ, h.Flags, b[n:])
				if err != nil {
					t.Fatalf("seed %d: Paho refuses %x: %v", seed, b, err)
				}
				if got, want := viewPaho5(theirs).String(), viewOf(ours, V5).String(); got != want {
					t.Fatalf("seed %d: Paho decodes %x to\n%s\nwant\n%s", seed, b, got, want)
				}
			}
		})
	}
}

// TestWeDecodePahos shows that we read, of random valid packets of MQTT 5 that Paho encoded, what it meant.
func TestWeDecodePahos(t *testing.T) {
	for _, typ := range kinds {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(400) {
				g := gen{rand.New(rand.NewPCG(seed, uint64(typ)))}
				packet := g.packet(typ, V5)
				switch p := packet.(type) { // what Paho does not encode: the properties of a will, and an empty method
				case *Connect:
					p.HasWill, p.Will = false, Will{}
					p.AuthMethod = append(p.AuthMethod, 'm')
				case *Auth:
					p.Method = append(p.Method, 'm')
				}
				b := packet.Append(nil, V5)
				h, n, err := ParseHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				if typ == DISCONNECT && h.Length == 0 {
					continue // see strict5
				}
				theirs, err := paho5(typ, h.Flags, b[n:])
				if err != nil {
					t.Fatalf("seed %d: Paho refuses %x: %v", seed, b, err)
				}
				body := bytes.Join(theirs.Buffers(), nil)
				ours := packetOf(typ)
				if err := ours.Decode(V5, h.Flags, body); err != nil {
					t.Fatalf("seed %d: we refuse %x: %v", seed, body, err)
				}
				if got, want := viewOf(ours, V5).String(), viewPaho5(theirs).String(); got != want {
					t.Fatalf("seed %d: we decode %x to\n%s\nwant\n%s", seed, body, got, want)
				}
			}
		})
	}
}

// leniency is a reason for which we refuse a packet that Paho accepts. Any other such refusal is a fault of ours.
// Paho is a client's library, and leaves it to the server to keep the rules.
type leniency struct {
	reason string // or its end, where the name of a property stands before it
	only   []Type // nil: any packet
	why    string
}

func listed(list []leniency, t Type, err error) bool {
	return slices.ContainsFunc(list, func(l leniency) bool {
		return (l.reason == err.Error() || l.reason[0] == ' ' && strings.HasSuffix(err.Error(), l.reason)) && (l.only == nil || slices.Contains(l.only, t))
	})
}

// lenient5 lists those of Paho's decoder for MQTT 5.
var lenient5 = []leniency{
	{"reserved flags in the fixed header", nil, "flags are not checked [MQTT-2.1.3-1]"},
	{"PUBLISH with QoS 3", nil, "flags are not checked [MQTT-3.3.1-4]"},
	{"PUBLISH with DUP at QoS 0", nil, "flags are not checked [MQTT-3.3.1-2]"},
	{"bytes after the end of the packet", nil, "what follows is not looked at"},
	{"a string is not well-formed UTF-8, or has U+0000", nil, "strings are not checked [MQTT-1.5.4-1 -2]"},
	{"packet identifier 0", nil, "not checked [MQTT-2.2.1-3]"},
	{" stands twice", nil, "the last one counts"},
	{" is neither 0 nor 1", nil, "values are not checked"},
	{" is 0", nil, "values are not checked"},
	{" in a packet that cannot have it", []Type{CONNECT}, "one list for CONNECT and for wills"},
	{"a variable byte integer is not in its shortest form", nil, "not checked [MQTT-1.5.5-1]"},
	{"a variable byte integer has more than four bytes", nil, "any number of bytes is read"},
	{"property length runs past the end", nil, "the block is cut at the end of the packet"},
	{"a field runs past the end", []Type{PUBLISH, SUBSCRIBE}, "a subscription identifier that is cut off ends there"},
	{"a field runs past the end", []Type{UNSUBSCRIBE}, "the last filter may be cut off"},
	{"a field runs past the end", []Type{AUTH}, "a property length is not asked for after the code"},
	{"a reason code that this packet cannot have", nil, "codes are not checked [MQTT-3.4.2-1]"},
	{"response topic is not a topic name", []Type{CONNECT, PUBLISH}, "names are not checked [MQTT-3.3.2-14]"},
	{"reserved connect flag is set", []Type{CONNECT}, "not checked [MQTT-3.1.2-3]"},
	{"will with QoS 3", []Type{CONNECT}, "not checked [MQTT-3.1.2-12]"},
	{"will QoS or will retain without a will", []Type{CONNECT}, "not checked [MQTT-3.1.2-11 -13]"},
	{"will topic is not a topic name", []Type{CONNECT}, "not checked"},
	{"authentication data without a method", []Type{CONNECT}, "not checked"},
	{"reserved connect acknowledge flags", []Type{CONNACK}, "not checked [MQTT-3.2.2-1]"},
	{"session present in a refusal", []Type{CONNACK}, "not checked [MQTT-3.2.2-6]"},
	{"topic name with a wildcard", []Type{PUBLISH}, "not checked [MQTT-3.3.2-2]"},
	{"topic alias 0", []Type{PUBLISH}, "not checked [MQTT-3.3.2-8]"},
	{"empty topic name without a topic alias", []Type{PUBLISH}, "not checked"},
	{"SUBSCRIBE without a topic filter", []Type{SUBSCRIBE}, "not checked [MQTT-3.8.3-2]"},
	{"empty topic filter", []Type{SUBSCRIBE, UNSUBSCRIBE}, "not checked [MQTT-4.7.3-1]"},
	{"reserved bits in subscription options", []Type{SUBSCRIBE}, "not checked [MQTT-3.8.3-5]"},
	{"subscription with QoS 3", []Type{SUBSCRIBE}, "not checked"},
	{"subscription with retain handling 3", []Type{SUBSCRIBE}, "not checked"},
	{"no local on a shared subscription", []Type{SUBSCRIBE}, "not checked [MQTT-3.8.3-4]"},
	{"UNSUBSCRIBE without a topic filter", []Type{UNSUBSCRIBE}, "not checked [MQTT-3.10.3-2]"},
	{"no reason codes", []Type{SUBACK, UNSUBACK}, "not checked [MQTT-3.8.4-6]"},
	{"AUTH without an authentication method", []Type{AUTH}, "not checked"},
	{"too many entries for the size of the packet", nil, "no bound"},
}

// strict5 lists what Paho refuses though the specification allows it.
func strict5(t Type, body []byte) bool {
	return t == DISCONNECT && len(body) == 0 // [MQTT 5.0, 3.14.2.1]
}

// FuzzPaho5 compares the two decoders on any body: what we accept Paho accepts and reads as the same, what we refuse it
// refuses too, but for what the tables list.
func FuzzPaho5(f *testing.F) {
	seed(f, kinds...)
	f.Fuzz(func(t *testing.T, _, which, flags byte, body []byte) {
		typ := kinds[int(which)%len(kinds)]
		if typ == CONNECT && !bytes.HasPrefix(body, wire("0004'MQTT' 05")) {
			return // Paho takes it for MQTT 5, whatever it is
		}
		ours := packetOf(typ)
		ourErr := ours.Decode(V5, flags&0x0F, body)
		theirs, theirErr := paho5(typ, flags, body)
		switch {
		case ourErr == nil && theirErr != nil:
			if !strict5(typ, body) {
				t.Fatalf("%v %x: Paho refuses it: %v", typ, body, theirErr)
			}
		case ourErr != nil && theirErr == nil:
			if !listed(lenient5, typ, ourErr) {
				t.Fatalf("%v %x: Paho accepts it, we do not: %v", typ, body, ourErr)
			}
		case ourErr == nil:
			if got, want := viewOf(ours, V5).String(), viewPaho5(theirs).String(); got != want {
				t.Fatalf("%v %x: we decode\n%s\nPaho\n%s", typ, body, got, want)
			}
		}
	})
}
