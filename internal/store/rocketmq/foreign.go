package rocketmq

import (
	"bytes"
	"encoding/base64"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
)

// maxForeign is how many user properties a message that is not ours has at most; what its producer gave it beyond is left out.
const maxForeign = 256

// foreign appends to dst, as MQTT 5 user properties, what the producer of a message that is none of ours gave it: what Java's
// Message.putUserProperty takes and neither this project nor the Java proxy gives a meaning to. They come in the order of the message,
// which with RocketMQ's clients is not that of the producer's calls. A value that is not UTF-8 or has control characters stands in
// base64, with Base64 behind its name: clients may close the connection on such a string [MQTT-1.5.4-1]. With such a name the property is left out.
// What is appended aliases props where it can.
func (f *fields) foreign(dst []mqtt.UserProperty, props []byte) []mqtt.UserProperty {
	for name, value, rest, ok := message.Next(props); ok && len(dst) < maxForeign; name, value, rest, ok = message.Next(rest) {
		switch {
		case f.place(name) != nil || system(name) || !printable(name):
		case printable(value):
			dst = append(dst, mqtt.UserProperty{Key: name, Value: value})
		default:
			dst = append(dst, mqtt.UserProperty{
				Key:   slices.Concat(name, []byte(inBase64)),
				Value: base64.StdEncoding.AppendEncode(nil, value),
			})
		}
	}
	return dst
}

// printable tells whether b is text that any MQTT client takes: UTF-8 without control characters.
func printable(b []byte) bool { return utf8.Valid(b) && bytes.IndexFunc(b, unicode.IsControl) < 0 }

// system tells whether a property that fields does not know is nevertheless none of a producer's own.
func system(name []byte) bool {
	switch string(name) {
	case propRetries, "clientId", "cleanSessionFlag", "namespace": // org.apache.rocketmq.mqtt.common.model.Constants
		return true
	}
	return rocketMQs(name)
}

// rocketMQs tells whether a property is RocketMQ's own: the names in org.apache.rocketmq.common.message.MessageConst of 4.9.7 to
// 5.5.0, and SHARDING_KEY of its Go client.
func rocketMQs(name []byte) bool {
	switch string(name) {
	case "1ST_POP_TIME", "ARRIVE_TIME", "BORN_TIMESTAMP", "BUYER_ID", "CHECK_IMMUNITY_TIME_IN_SECONDS", "CLUSTER", "CONSUME_START_TIME",
		"CORRECTION_FLAG", "CORRELATION_ID", "DELAY", "DLQ_ORIGIN_MESSAGE_ID", "DLQ_ORIGIN_TOPIC", "DUP_INFO", "EXTEND_UNIQ_INFO", "E_T",
		"INNER_BASE", "INNER_MULTI_DISPATCH", "INNER_MULTI_QUEUE_OFFSET", "INNER_NUM", "INSTANCE_ID", propKeys, "MAX_OFFSET",
		"MAX_RECONSUME_TIMES", "MIN_OFFSET", "MQ2_FLAG", "MSG_REGION", "MSG_TYPE", "ORIGIN_GROUP", "ORIGIN_MESSAGE_ID", "PGROUP", "POP_CK",
		"POP_CK_OFFSET", "PROPERTY_FORWARD_QUEUE_ID", "PUSH_REPLY_TIME", "REAL_QID", "REAL_TOPIC", "RECONSUME_TIME", "REDIRECT",
		"REPLY_TO_CLIENT", "RETRY_TOPIC", "SHARDING_KEY", propTags, "TIMER_DELAY_LEVEL", "TIMER_DELAY_MS", "TIMER_DELAY_SEC",
		"TIMER_DELIVER_MS", "TIMER_DEL_UNIQKEY", "TIMER_DEQUEUE_MS", "TIMER_ENQUEUE_MS", "TIMER_OUT_MS", "TIMER_ROLL_LABEL",
		"TIMER_ROLL_TIMES", "TRACE_CONTEXT", "TRACE_ON", "TRANSACTION_CHECK_TIMES", "TRANSFER_FLAG", "TRANS_OFFSET", "TRAN_MSG",
		"TRAN_PREPARED_QUEUE_OFFSET", "TTL", "WAIT", "_SYS_MSG_PRIORITY_", "__BORNHOST", "__CRC32#", "__LITE_TOPIC",
		"__RMQ.TRANSIENT.GROUP_SYS_FLAG", "__RMQ.TRANSIENT.TOPIC_SYS_FLAG", "__SHARDINGKEY", "__transactionId__":
		return true
	}
	return false
}
