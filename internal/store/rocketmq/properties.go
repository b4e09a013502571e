package rocketmq

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The properties of a message. Those of the Java proxy are written as it writes them (org.apache.rocketmq.mqtt.ds.store.
// LmqQueueStoreManager.toMQMessage), so that its clients and RocketMQ's consumers read ours:
//
//	TAGS             MQTT_COMMON, or store.Message.Tag
//	KEYS             store.Message.Key; absent when empty
//	UNIQ_KEY         the id of the message; the same on every copy of it
//	originMqttTopic  the topic as published
//	qosLevel         0, 1, 2
//	IS_EMPTY_MSG     true, false; true: the body stands for an empty payload, which RocketMQ would not take
//	retryTimes       0
//	extData          {"qosLevel":"1"}
//
// and, while Java proxies are there, INNER_MULTI_DISPATCH, the light queues: see lmqnames.go.
//
// MQTT 5 (names and values of the branch develop_mqtt5.0, where they stand within extData; as properties RocketMQ's
// consumers can read them):
//
//	payloadFormatIndicator  0, 1
//	contentType             text
//	responseTopic           text
//	correlationData         text
//	userProperty            [{"key":"a","value":"b"}], in the order of the packet. All of them are within this one value, whatever
//	                        their names: DELAY or INNER_MULTI_DISPATCH of its own would be an order to the broker
//
// Ours:
//
//	mqttNode     the node that wrote it, random for each start: says that the message is one of ours, and UNIQ_KEY ours alone
//	mqttFrom     store.Message.Origin in hex; absent when 0
//	mqttExpires  Unix ms; absent: never
//	mqttRetain   1; absent: not retained
//	mqttAfter    of a message that was sent before with another end than an answer: broker offset and Unix ms, see resentAfter
//
// A text that cannot be a property's value (empty, \x01 or \x02 in it, not UTF-8) stands in base64 under its name with Base64
// behind it; the empty one as "=". So originMqttTopicBase64, contentTypeBase64, responseTopicBase64, correlationDataBase64.
//
// For the topic a RocketMQ application may write mqttTopic, which counts more than all others. What else it gives a message is in foreign.go.
//
// WAIT=true, which Java's client has in every message, is left out: absent means the same (Message.isWaitStoreMsgOK), and newer
// brokers remove it themselves.
const (
	propTags    = "TAGS"
	propKeys    = "KEYS"
	propUniqKey = "UNIQ_KEY"
	propTopic   = "originMqttTopic"
	propQoS     = "qosLevel"
	propEmpty   = "IS_EMPTY_MSG"
	propRetries = "retryTimes"
	propExt     = "extData"

	propPayloadFormat = "payloadFormatIndicator"
	propContentType   = "contentType"
	propResponseTopic = "responseTopic"
	propCorrelation   = "correlationData"
	propUser          = "userProperty"
	propInterval      = "messageExpiryInterval" // seconds; read, since applications may write it; of ours mqttExpires tells

	propNode    = "mqttNode"
	propFrom    = "mqttFrom"
	propExpires = "mqttExpires"
	propRetain  = "mqttRetain"
	propAfter   = "mqttAfter"
	propWish    = "mqttTopic"

	extRealTopic = "mqttRealTopic" // within extData: the topic to deliver with (Message.extPropertyMqttRealTopic)

	inBase64    = "Base64"
	emptyBase64 = "="
)

// emptyBody is the body of an empty payload (org.apache.rocketmq.mqtt.common.util.MessageUtil.EMPTYSTRING).
const emptyBody = "\u2605\r\n\t\u2600"

// maxProperties is the most that the properties of a message may take, bytes. The format takes 32,767, but brokers add
// properties of their own, and some destroy what follows when the sum is above it.
const maxProperties = 32_000

// keepProps is the capacity up to which an encoder's buffers are kept, bytes.
const keepProps = 64 << 10

// What is the same in many messages, encoded: \x01 is behind a name, \x02 behind a value.
const (
	commonProps   = propTags + "\x01MQTT_COMMON\x02"
	alwaysProps   = propRetries + "\x010\x02"
	qos0Props     = propQoS + "\x010\x02" + propExt + "\x01{\"qosLevel\":\"0\"}\x02"
	qos1Props     = propQoS + "\x011\x02" + propExt + "\x01{\"qosLevel\":\"1\"}\x02"
	qos2Props     = propQoS + "\x012\x02" + propExt + "\x01{\"qosLevel\":\"2\"}\x02"
	emptyProps    = propEmpty + "\x01true\x02"
	notEmptyProps = propEmpty + "\x01false\x02"
	retainProps   = propRetain + "\x011\x02"
)

// outgoing is a message as RocketMQ takes it. Its slices are valid until the encoder is used again; body may alias the
// message's payload. Appending to them leaves what stands behind them alone.
type outgoing struct {
	props []byte
	body  []byte
	lmq   bool // props name light queues
}

// encoder makes outgoing messages. The zero value is ready; it is for one goroutine at a time and keeps at most 128 KiB.
type encoder struct {
	props   []byte
	scratch []byte // one value
	body    [len(emptyBody)]byte
	five    mqtt.Properties
	err     error // of the first property that could not be written
}

// encode turns a publish into a message for RocketMQ. node is this start of the process, key the message's id
// (message.IDs); neither may be empty. An error that wraps store.ErrTooLarge: topic and MQTT 5 properties take more than a
// message of RocketMQ has room for. What is in m may be anything that MQTT allows; nothing of it becomes a property's name.
func (e *encoder) encode(m *store.Message, node string, key []byte) (outgoing, error) {
	// In the properties each takes more bytes than in m, so this bounds the work before any is done.
	if n := len(m.Topic) + len(m.Forward); n > maxProperties {
		return outgoing{}, tooLarge(m, n)
	}
	if err := e.five.Decode(m.Forward); err != nil {
		return outgoing{}, badForward(m, err)
	}
	e.begin()
	e.fixed(m)
	plain(e, propUniqKey, key)
	plain(e, propNode, node)
	e.topic(m.Topic)
	e.numbers(m)
	e.mqtt5()
	switch {
	case e.err != nil:
		return outgoing{}, fmt.Errorf("publish to %.200q: %w", m.Topic, e.err)
	case len(e.props) > maxProperties:
		return outgoing{}, tooLarge(m, len(e.props))
	}
	body := m.Payload
	if len(body) == 0 {
		body = e.body[:copy(e.body[:], emptyBody)]
	}
	return outgoing{props: e.props[:len(e.props):len(e.props)], body: body}, nil
}

func (e *encoder) begin() {
	if cap(e.props) > keepProps {
		e.props = nil
	}
	if cap(e.scratch) > keepProps {
		e.scratch = nil
	}
	e.props, e.err = e.props[:0], nil
}

// fixed appends what is the same in many messages.
func (e *encoder) fixed(m *store.Message) {
	if m.Tag == "" {
		e.props = append(e.props, commonProps...)
	} else {
		put(e, propTags, m.Tag)
	}
	if m.Key != "" {
		put(e, propKeys, m.Key)
	}
	e.props = append(e.props, alwaysProps...)
	switch m.QoS {
	case 0:
		e.props = append(e.props, qos0Props...)
	case 1:
		e.props = append(e.props, qos1Props...)
	default:
		e.props = append(e.props, qos2Props...)
	}
	if len(m.Payload) == 0 {
		e.props = append(e.props, emptyProps...)
	} else {
		e.props = append(e.props, notEmptyProps...)
	}
	if m.Retain {
		e.props = append(e.props, retainProps...)
	}
}

func (e *encoder) numbers(m *store.Message) {
	if m.Origin != 0 {
		e.scratch = strconv.AppendUint(e.scratch[:0], m.Origin, 16)
		plain(e, propFrom, e.scratch)
	}
	if m.Expires != 0 {
		e.scratch = strconv.AppendInt(e.scratch[:0], m.Expires, 10)
		plain(e, propExpires, e.scratch)
	}
}

func (e *encoder) mqtt5() {
	p := &e.five
	if p.HasPayloadFormat {
		plain(e, propPayloadFormat, "01"[p.PayloadFormat&1:][:1])
	}
	if p.ContentType != nil {
		e.text(propContentType, propContentType+inBase64, p.ContentType)
	}
	if p.ResponseTopic != nil {
		e.text(propResponseTopic, propResponseTopic+inBase64, p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		e.text(propCorrelation, propCorrelation+inBase64, p.CorrelationData)
	}
	if len(p.User) > 0 {
		e.scratch = appendUsers(e.scratch[:0], p.User)
		put(e, propUser, e.scratch)
	}
}

// plain appends a property whose value is of our own making, or was looked at: not empty, without \x01 and \x02, and UTF-8.
func plain[V string | []byte](e *encoder, name string, value V) {
	e.props = append(e.props, name...)
	e.props = append(e.props, 1)
	e.props = append(e.props, value...)
	e.props = append(e.props, 2)
}

// put appends a property with any other value. message.AppendProperty lets nothing pass that would come out as a second property.
func put[V string | []byte](e *encoder, name string, value V) {
	if e.err == nil {
		e.props, e.err = message.AppendProperty(e.props, name, value)
	}
}

// topic appends the topic, which may be anything that MQTT allows, and more.
func (e *encoder) topic(name string) {
	if name == "" || strings.IndexByte(name, 1) >= 0 || strings.IndexByte(name, 2) >= 0 || !utf8.ValidString(name) {
		e.base64(propTopic+inBase64, []byte(name))
		return
	}
	plain(e, propTopic, name)
}

// text appends a property whose value may be anything: under name as it is, or in base64 under name64.
func (e *encoder) text(name, name64 string, value []byte) {
	if len(value) == 0 || bytes.IndexByte(value, 1) >= 0 || bytes.IndexByte(value, 2) >= 0 || !utf8.Valid(value) {
		e.base64(name64, value)
		return
	}
	plain(e, name, value)
}

func (e *encoder) base64(name string, value []byte) {
	e.scratch = base64.StdEncoding.AppendEncode(e.scratch[:0], value)
	if len(value) == 0 {
		e.scratch = append(e.scratch, emptyBase64...)
	}
	plain(e, name, e.scratch)
}

func tooLarge(m *store.Message, size int) error {
	return fmt.Errorf("publish to %.200q: topic and MQTT 5 properties take %d bytes in RocketMQ, of at most %d: %w",
		m.Topic, size, maxProperties, store.ErrTooLarge)
}

// badForward wraps what mqtt.Properties.Decode said.
func badForward(m *store.Message, err error) error {
	if bad := (*mqtt.Error)(nil); errors.As(err, &bad) && bad.Code == mqtt.QuotaExceeded { // more than 1,000 of next to nothing
		return fmt.Errorf("publish to %.200q: MQTT 5 properties: %w: %w", m.Topic, err, store.ErrTooLarge)
	}
	return fmt.Errorf("publish to %.200q: MQTT 5 properties: %w", m.Topic, err)
}

// resentAfter says where a copy that was sent earlier may be: if there is one, it is at this broker offset or above, and
// was stored at or after since.
type resentAfter struct {
	offset int64
	since  int64 // Unix ms; the broker's clock may differ by a minute
}

// appendAgain appends the property mqttAfter to props, which are encoded already. maxProperties leaves room for it.
func appendAgain(props []byte, after resentAfter) []byte {
	props = append(props, propAfter+"\x01"...)
	props = strconv.AppendInt(props, after.offset, 10)
	props = append(props, ',')
	props = strconv.AppendInt(props, after.since, 10)
	return append(props, '\x02')
}

// parseAfter reads the value of mqttAfter.
func parseAfter(value []byte) (resentAfter, bool) {
	offset, since, _ := strings.Cut(string(value), ",")
	o, err1 := strconv.ParseInt(offset, 10, 64)
	s, err2 := strconv.ParseInt(since, 10, 64)
	if err1 != nil || err2 != nil {
		return resentAfter{}, false
	}
	return resentAfter{offset: o, since: s}, true
}
