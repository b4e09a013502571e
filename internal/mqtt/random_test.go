package mqtt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// gen makes valid packets at random.
type gen struct{ *rand.Rand }

// versions of a packet of type t.
func versions(t Type) []Version {
	if t == AUTH {
		return []Version{V5}
	}
	return []Version{V31, V311, V5}
}

func (g gen) chance(n int) bool { return g.IntN(n) == 0 }

// text is a UTF-8 string of at least least characters, of up to four bytes each.
func (g gen) text(least int) []byte {
	alphabet := []rune("abcXYZ019/ $_-é€\uFFFF\U0001F600\x7f")
	b := []byte{}
	for range least + g.IntN(6) {
		b = append(b, string(alphabet[g.IntN(len(alphabet))])...)
	}
	if g.chance(50) {
		b = append(b, slices.Repeat([]byte("long"), g.IntN(3000))...)
	}
	return b
}

func (g gen) data() []byte {
	b := make([]byte, g.IntN(8))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g gen) uint16() uint16 { return uint16(1 + g.IntN(math.MaxUint16)) }
func (g gen) uint32() uint32 { return []uint32{0, 1, 60, 86400, math.MaxUint32, g.Uint32()}[g.IntN(6)] }
func (g gen) varint() uint32 { return 1 + g.Uint32N(MaxLength)>>(7*g.IntN(4)) }

func (g gen) user() (u []UserProperty) {
	for range max(0, g.IntN(6)-2) {
		u = append(u, UserProperty{Key: g.text(0), Value: g.text(0)})
	}
	return u
}

// maybe is f's value or, as often, nothing.
func maybe[T any](g gen, f func() T) (v T) {
	if g.chance(2) {
		return f()
	}
	return v
}

// pointer is a pointer to f's value or, as often, nil.
func pointer[T any](g gen, f func() T) *T {
	return maybe(g, func() *T { return new(f()) })
}

func (g gen) bool() bool    { return g.chance(2) }
func (g gen) topic() []byte { return g.text(1) }
func (g gen) str() string   { return string(g.text(0)) }

// code is a code that a packet of type t can have.
func (g gen) code(t Type) ReasonCode {
	for {
		if c := ReasonCode(g.IntN(len(codes))); c.in(t) {
			return c
		}
	}
}

func (g gen) properties() Properties {
	p := Properties{
		ContentType: maybe(g, g.topic), ResponseTopic: maybe(g, g.topic), CorrelationData: maybe(g, g.data), User: g.user(),
	}
	if g.chance(2) {
		p.HasPayloadFormat, p.PayloadFormat = true, byte(g.IntN(2))
	}
	return p
}

// packet is a valid packet of type t and version v, whose encoding is that of Append.
func (g gen) packet(t Type, v Version) codec {
	switch t {
	case CONNECT:
		return g.connect(v)
	case CONNACK:
		return g.connack(v)
	case PUBLISH:
		return g.publish(v)
	case SUBSCRIBE:
		return g.subscribe(v)
	case SUBACK, UNSUBACK:
		return g.suback(t, v)
	}
	id, code, reason, user := g.uint16(), Success, "", []UserProperty(nil)
	if v >= V5 && t != UNSUBSCRIBE {
		code, reason = g.code(t), maybe(g, g.str)
	}
	if v >= V5 {
		user = g.user()
	}
	switch t {
	case UNSUBSCRIBE:
		u := &Unsubscribe{PacketID: id, User: user}
		for range 1 + g.IntN(4) {
			u.Filters = append(u.Filters, g.topic())
		}
		return u
	case DISCONNECT:
		d := &Disconnect{Code: code, Reason: reason, User: user}
		if v >= V5 && g.chance(2) {
			d.HasSessionExpiry, d.SessionExpiry = true, g.uint32()
			d.ServerReference = g.str()
		}
		return d
	case AUTH:
		return &Auth{Code: code, Reason: reason, User: user, Method: g.text(0), Data: maybe(g, g.data)}
	}
	return &Ack{Type: t, PacketID: id, Code: code, Reason: reason, User: user}
}

func (g gen) connect(v Version) *Connect {
	c := plain(Connect{Version: v, CleanStart: g.bool(), KeepAlive: uint16(g.Uint32()), ClientID: g.text(0)})
	if g.chance(2) {
		c.HasWill = true
		c.Will = Will{QoS: byte(g.IntN(3)), Retain: g.bool(), Topic: g.topic(), Payload: g.data()}
	}
	if g.chance(2) {
		c.HasUsername, c.Username = true, g.text(0)
	}
	if (c.HasUsername || v >= V5) && g.chance(2) {
		c.HasPassword, c.Password = true, g.data()
	}
	if v < V5 {
		return c
	}
	if c.HasWill {
		same := g.properties()
		c.Will.Forward = same.Append(nil)
		c.Will.Delay = g.uint32()
		if g.chance(2) {
			c.Will.HasMessageExpiry, c.Will.MessageExpiry = true, g.uint32()
		}
	}
	c.SessionExpiry, c.ReceiveMaximum, c.MaximumPacketSize = g.uint32(), g.uint16(), g.uint32()
	c.TopicAliasMaximum, c.RequestResponse, c.RequestProblem = uint16(g.Uint32()), g.bool(), g.bool()
	if g.chance(2) {
		c.HasAuthMethod, c.AuthMethod, c.AuthData = true, g.text(0), maybe(g, g.data)
	}
	c.User = g.user()
	return c
}

func (g gen) connack(v Version) *Connack {
	if v < V5 {
		return &Connack{SessionPresent: v == V311 && g.bool()}
	}
	c := &Connack{
		Code: g.code(CONNACK), SessionExpiry: pointer(g, g.uint32), ReceiveMaximum: pointer(g, g.uint16),
		RetainAvailable: pointer(g, g.bool), WildcardAvailable: pointer(g, g.bool), SubscriptionIDs: pointer(g, g.bool),
		SharedAvailable: pointer(g, g.bool), AssignedClientID: g.str(), TopicAliasMaximum: pointer(g, g.uint16), Reason: g.str(),
		ServerKeepAlive: pointer(g, g.uint16), ResponseInformation: maybe(g, g.str), ServerReference: maybe(g, g.str),
		AuthMethod: maybe(g, g.topic), AuthData: maybe(g, g.data), User: g.user(),
	}
	c.SessionPresent = c.Code == Success && g.bool()
	if g.chance(2) {
		c.MaximumQoS, c.MaximumPacketSize = new(byte(g.IntN(2))), new(1+g.Uint32N(math.MaxUint32))
	}
	return c
}

func (g gen) publish(v Version) *Publish {
	p := &Publish{QoS: byte(g.IntN(3)), Retain: g.bool(), Topic: g.topic(), Payload: g.data()}
	if p.QoS > 0 {
		p.PacketID, p.Dup = g.uint16(), g.bool()
	}
	if v < V5 {
		return p
	}
	if g.chance(2) {
		p.HasMessageExpiry, p.MessageExpiry = true, g.uint32()
	}
	if g.chance(2) {
		p.TopicAlias, p.Topic = g.uint16(), g.text(0)
	}
	for range max(0, g.IntN(6)-3) {
		p.SubscriptionIDs = append(p.SubscriptionIDs, g.varint())
	}
	same := g.properties()
	p.HasPayloadFormat, p.PayloadFormat = same.HasPayloadFormat, same.PayloadFormat
	p.ContentType, p.ResponseTopic, p.CorrelationData = same.ContentType, same.ResponseTopic, same.CorrelationData
	p.User, p.Forward = same.User, same.Append(nil)
	return p
}

func (g gen) subscribe(v Version) *Subscribe {
	s := &Subscribe{PacketID: g.uint16()}
	for range 1 + g.IntN(4) {
		f := SubscribeFilter{Filter: g.topic(), QoS: byte(g.IntN(3))}
		if v >= V5 {
			f.NoLocal, f.RetainAsPublished, f.RetainHandling = g.bool() && f.Filter[0] != '$', g.bool(), byte(g.IntN(3))
		}
		s.Filters = append(s.Filters, f)
	}
	if v >= V5 {
		s.SubscriptionID, s.User = maybe(g, g.varint), g.user()
	}
	return s
}

func (g gen) suback(t Type, v Version) *Suback {
	s := &Suback{Type: t, PacketID: g.uint16()}
	if v < V5 && t == UNSUBACK {
		return s
	}
	for range 1 + g.IntN(4) {
		c := g.code(t)
		if v < V5 && c > GrantedQoS2 {
			c = UnspecifiedError
		}
		s.Codes = append(s.Codes, c)
	}
	if v >= V5 {
		s.Reason, s.User = maybe(g, g.str), g.user()
	}
	return s
}

// kinds are the packets that have a body.
var kinds = []Type{
	CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH,
}

// TestRoundTrip shows that what was encoded is decoded again, for random packets of every type and version, into one
// receiver for each type.
func TestRoundTrip(t *testing.T) {
	for _, typ := range kinds {
		for _, v := range versions(typ) {
			t.Run(fmt.Sprintf("%v/%v", typ, v), func(t *testing.T) {
				t.Parallel()
				got := packetOf(typ)
				for seed := range uint64(300) {
					g := gen{rand.New(rand.NewPCG(seed, uint64(typ)))}
					want := g.packet(typ, v)
					b := want.Append(nil, v)
					if err := decodeInto(got, v, b); err != nil {
						t.Fatalf("seed %d: %+v became %x: %v", seed, want, b, err)
					}
					if d := diff(got, want); d != "" {
						t.Fatalf("seed %d: %x decoded %s", seed, b, d)
					}
					if again := got.Append(nil, v); !slices.Equal(again, b) {
						t.Fatalf("seed %d: encoded again\n%x, was\n%x", seed, again, b)
					}
				}
			})
		}
	}
}

// TestTruncated shows that no packet can be decoded once its end is missing, but for those whose rest means something
// else, and that none of them makes the decoder panic.
func TestTruncated(t *testing.T) {
	for _, typ := range kinds {
		for _, v := range versions(typ) {
			for seed := range uint64(20) {
				g := gen{rand.New(rand.NewPCG(seed, uint64(typ)))}
				b := g.packet(typ, v).Append(nil, v)
				h, n, err := ParseHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				body := b[n:]
				for i := range min(len(body), 2000) {
					if err := packetOf(typ).Decode(v, h.Flags, body[:i]); err == nil && !canEnd(typ, v, body, i) {
						t.Fatalf("%v %v: %x accepted, cut off from %x", typ, v, body[:i], body)
					}
				}
			}
		}
	}
}

// canEnd lists the places where a packet may end early and be another valid packet.
func canEnd(t Type, v Version, body []byte, i int) bool {
	switch t {
	case PUBLISH, SUBSCRIBE, UNSUBSCRIBE, SUBACK, UNSUBACK:
		return true // they end with payload, or with one of several entries
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return v >= V5 && (i == 2 || i == 3)
	case DISCONNECT:
		return v >= V5 && i <= 1
	case AUTH:
		return i == 0
	case CONNECT: // of 3.1, before user name or password
		return v == V31 && body[9]&(connectUsername|connectPassword) != 0
	}
	return false
}
