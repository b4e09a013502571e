package mqtt

import (
	"fmt"
	"strings"
)

// view is what a packet says, written so that packets of different libraries can be compared: a line for each thing that is
// there. What is empty is not listed, since the others do not tell it from what is absent.
type view []string

func (v *view) add(name string, value any) {
	var s string
	switch x := value.(type) {
	case bool:
		if !x {
			return
		}
		s = "true"
	default:
		s = fmt.Sprintf("%x", x) // a number, a string or bytes
	}
	if s != "" && s != "0" {
		*v = append(*v, name+" "+s)
	}
}

// present lists a value that may be zero.
func present[T any](v *view, name string, p *T) {
	if p != nil {
		*v = append(*v, fmt.Sprintf("%s %v", name, *p))
	}
}

func has[T any](there bool, value T) *T {
	if there {
		return &value
	}
	return nil
}

// flag is a boolean property as the byte that it is on the wire.
func flag(b *bool) *byte {
	switch {
	case b == nil:
		return nil
	case *b:
		return new(byte(1))
	}
	return new(byte(0))
}

func (v *view) users(u []UserProperty) {
	for _, p := range u {
		*v = append(*v, fmt.Sprintf("user %x %x", p.Key, p.Value))
	}
}

func (v view) String() string { return strings.Join(v, "\n") }

// viewOf is the view of one of our packets.
func viewOf(p codec, version Version) view {
	v := view{}
	switch p := p.(type) {
	case *Connect:
		v.connect(p)
	case *Connack:
		v.connack(p, version)
	case *Publish:
		v.publish(p)
	case *Ack:
		v.add("id", p.PacketID)
		v.add("code", byte(p.Code))
		v.answer(p.Reason, p.User)
	case *Subscribe:
		v.add("id", p.PacketID)
		v.add("subscription id", p.SubscriptionID)
		v.users(p.User)
		for _, f := range p.Filters {
			v = append(v, fmt.Sprintf("filter %x %d %v %v %d", f.Filter, f.QoS, f.NoLocal, f.RetainAsPublished, f.RetainHandling))
		}
	case *Suback:
		v.add("id", p.PacketID)
		v.answer(p.Reason, p.User)
		v.codes(p.Codes)
	case *Unsubscribe:
		v.add("id", p.PacketID)
		v.users(p.User)
		for _, f := range p.Filters {
			v.add("filter", f)
		}
	case *Disconnect:
		v.add("code", byte(p.Code))
		present(&v, "session expiry", has(p.HasSessionExpiry, p.SessionExpiry))
		v.add("server", p.ServerReference)
		v.answer(p.Reason, p.User)
	case *Auth:
		v.add("code", byte(p.Code))
		v.add("method", p.Method)
		v.add("data", p.Data)
		v.answer(p.Reason, p.User)
	}
	return v
}

func (v *view) codes(codes []ReasonCode) {
	b := make([]byte, len(codes))
	for i, c := range codes {
		b[i] = byte(c)
	}
	v.add("codes", b)
}

func (v *view) answer(reason string, users []UserProperty) {
	v.add("reason", reason)
	v.users(users)
}

func (v *view) connect(c *Connect) {
	v.add("version", byte(c.Version))
	v.add("clean", c.CleanStart)
	v.add("keep alive", c.KeepAlive)
	v.add("client", c.ClientID)
	present(v, "user name", has(c.HasUsername, string(c.Username)))
	present(v, "password", has(c.HasPassword, string(c.Password)))
	v.add("session expiry", c.SessionExpiry)
	v.add("receive maximum", c.ReceiveMaximum)
	v.add("maximum packet size", c.MaximumPacketSize)
	v.add("topic alias maximum", c.TopicAliasMaximum)
	v.add("response", c.RequestResponse)
	v.add("problem", c.RequestProblem)
	v.add("method", c.AuthMethod)
	v.add("data", c.AuthData)
	v.users(c.User)
	if !c.HasWill {
		return
	}
	w := c.Will
	*v = append(*v, fmt.Sprintf("will %d %v %x %x", w.QoS, w.Retain, w.Topic, w.Payload))
	v.add("will delay", w.Delay)
	var same Properties
	if err := same.Decode(w.Forward); err != nil {
		v.add("will properties", err.Error())
	}
	v.message(has(w.HasMessageExpiry, w.MessageExpiry), &same)
}

// message lists the properties of a PUBLISH or a will.
func (v *view) message(expiry *uint32, p *Properties) {
	present(v, "expiry", expiry)
	present(v, "payload format", has(p.HasPayloadFormat, p.PayloadFormat))
	v.add("content type", p.ContentType)
	v.add("response topic", p.ResponseTopic)
	v.add("correlation data", p.CorrelationData)
	v.users(p.User)
}

func (v *view) publish(p *Publish) {
	*v = append(*v, fmt.Sprintf("publish %v %d %v %d %x %x", p.Dup, p.QoS, p.Retain, p.PacketID, p.Topic, p.Payload))
	v.add("alias", p.TopicAlias)
	for _, id := range p.SubscriptionIDs[max(0, len(p.SubscriptionIDs)-1):] { // Paho keeps the last
		v.add("subscription id", id)
	}
	var same Properties
	if err := same.Decode(p.Forward); err != nil {
		v.add("forward", err.Error())
	}
	v.message(has(p.HasMessageExpiry, p.MessageExpiry), &same)
}

func (v *view) connack(c *Connack, version Version) {
	v.add("session present", c.SessionPresent)
	if version < V5 {
		v.add("code", c.Code.ReturnCode())
		return
	}
	v.add("code", byte(c.Code))
	present(v, "session expiry", c.SessionExpiry)
	present(v, "receive maximum", c.ReceiveMaximum)
	present(v, "maximum QoS", c.MaximumQoS)
	present(v, "retain", flag(c.RetainAvailable))
	present(v, "maximum packet size", c.MaximumPacketSize)
	v.add("assigned", c.AssignedClientID)
	present(v, "topic alias maximum", c.TopicAliasMaximum)
	present(v, "wildcard", flag(c.WildcardAvailable))
	present(v, "subscription ids", flag(c.SubscriptionIDs))
	present(v, "shared", flag(c.SharedAvailable))
	present(v, "keep alive", c.ServerKeepAlive)
	v.add("response", c.ResponseInformation)
	v.add("server", c.ServerReference)
	v.add("method", c.AuthMethod)
	v.add("data", c.AuthData)
	v.answer(c.Reason, c.User)
}
