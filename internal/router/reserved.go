package router

import "strings"

// systemTopics are RocketMQ's own topics: a client must not reach them by name
// (org.apache.rocketmq.common.topic.TopicValidator).
var systemTopics = map[string]bool{
	"TBW102":                      true,
	"SCHEDULE_TOPIC_XXXX":         true,
	"BenchmarkTest":               true,
	"OFFSET_MOVED_EVENT":          true,
	"SELF_TEST_TOPIC":             true,
	"TRANS_CHECK_MAX_TIME_TOPIC":  true,
	"RMQ_SYS_TRANS_HALF_TOPIC":    true,
	"RMQ_SYS_TRACE_TOPIC":         true,
	"RMQ_SYS_TRANS_OP_HALF_TOPIC": true,
	"RMQ_SYS_ROCKSDB_TRANS_TOPIC": true,
	"DefaultCluster_REPLY_TOPIC":  true,
}

// MayPublish reports whether clients may publish to topics with this first level. Those of the server, of this
// project's changelogs and of RocketMQ itself are refused on every store, so that an installation can move
// from the embedded log to RocketMQ.
func MayPublish(first string) bool {
	return !strings.HasPrefix(first, "$") && !internal(first)
}

// MaySubscribe is MayPublish for the first level of a filter; reading below $SYS is allowed.
func MaySubscribe(first string) bool {
	return first == "$SYS" || MayPublish(first)
}

func internal(first string) bool {
	if first == "" {
		return false
	}
	switch first[0] {
	case '%':
		return true
	case 'M', 'R', 'r', 'T', 'S', 'B', 'O', 'D':
		return strings.HasPrefix(first, "MQTT_SYS_") || strings.HasPrefix(first, "RMQ_SYS_") ||
			strings.HasPrefix(first, "rmq_sys_") || systemTopics[first]
	}
	return false
}
