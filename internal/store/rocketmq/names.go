package rocketmq

import "strings"

// maxTopic is the longest name of a RocketMQ topic, bytes (TopicValidator.TOPIC_MAX_LENGTH).
const maxTopic = 127

// legalTopic tells whether first, a first level, may be the name of a RocketMQ topic of its own. Brokers of 4.9 to 5.x accept
// it (org.apache.rocketmq.common.topic.TopicValidator), and it is none that brokers, RocketMQ's own proxy or this project use
// for themselves. What it refuses is not lost: it goes to Options.DefaultTopic, so it may well refuse too much.
//
// RocketMQ would take '%' and '|' as well. Not from us: '%' begins the names of retry topics, dead letters and light
// queues, which brokers treat in ways of their own.
func legalTopic(first string) bool {
	if first == "" || len(first) > maxTopic {
		return false
	}
	for i := range len(first) {
		switch c := first[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return !systemTopic(first)
}

// systemTopic tells whether a RocketMQ topic of this name is not for messages of clients.
func systemTopic(name string) bool {
	switch name {
	case "TBW102", "SCHEDULE_TOPIC_XXXX", "SCHEDULE_TOPIC_XXXX_V2", "BenchmarkTest", "TRANS_CHECK_MAX_TIME_TOPIC",
		"SELF_TEST_TOPIC", "OFFSET_MOVED_EVENT", "CHECKPOINT_TOPIC": // TopicValidator.SYSTEM_TOPIC_SET
		return true
	case "DefaultHeartBeatSyncerTopic": // org.apache.rocketmq.proxy.config.ProxyConfig
		return true
	}
	return hasPrefixFold(name, "rmq_sys_") || // TopicValidator.SYSTEM_TOPIC_PREFIX, and RMQ_SYS_TRANS_HALF_TOPIC and its like
		hasPrefixFold(name, "mqtt_sys_") || // ours
		strings.HasSuffix(name, "_REPLY_TOPIC") // MixAll.getReplyTopic, of a cluster
}

// hasPrefixFold is strings.HasPrefix without regard to case; both are ASCII.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// firstLevel is the part of an MQTT topic name, or of a filter without wildcards in it, that decides on its RocketMQ topic: its
// first level, or its second when the first is empty. "t1/a" and "/t1/a" both follow "t1", as in the Java proxy
// (org.apache.rocketmq.mqtt.common.util.TopicUtils.decode); "//x" and "/" have "".
func firstLevel(topic string) string {
	topic = strings.TrimPrefix(topic, "/")
	if i := strings.IndexByte(topic, '/'); i >= 0 {
		return topic[:i]
	}
	return topic
}

// filterFirst is firstLevel for a filter: every topic that filter matches has this first level. Those of a filter that begins
// with a wildcard may have any, also when a slash is before it ("+/x" matches "/x", which follows "x"): then all is true and first is
// empty.
func filterFirst(filter string) (first string, all bool) {
	first = firstLevel(filter)
	if first == "+" || first == "#" {
		return "", true
	}
	return first, false
}
