package rocketmq

import (
	"strings"
	"testing"
)

func TestLegalTopic(t *testing.T) {
	for name, want := range map[string]bool{
		"t1": true, "a-b_C9": true, "-": true, "MQTT_DEFAULT": true, "mqtt": true, strings.Repeat("x", 127): true,
		"RMQ": true, "rmq_sy": true, "TBW1020": true, "REPLY_TOPIC": true, "tbw102": true,
		"": false, strings.Repeat("x", 128): false, "a b": false, "a.b": false, "a,b": false, "a/b": false, "caf\u00e9": false, "a\x00": false,
		"%RETRY%g": false, "%DLQ%g": false, "%LMQ%t": false, "a|b": false, "$SYS": false, "+": false, "#": false,
		"TBW102": false, "SCHEDULE_TOPIC_XXXX": false, "SCHEDULE_TOPIC_XXXX_V2": false, "BenchmarkTest": false, "SELF_TEST_TOPIC": false,
		"OFFSET_MOVED_EVENT": false, "TRANS_CHECK_MAX_TIME_TOPIC": false, "CHECKPOINT_TOPIC": false, "DefaultHeartBeatSyncerTopic": false,
		"RMQ_SYS_TRACE_TOPIC": false, "rmq_sys_wheel_timer": false, "Rmq_Sys_": false, "DefaultCluster_REPLY_TOPIC": false,
		"MQTT_SYS_TOPIC": false, "MQTT_SYS_SESSION": false, "mqtt_sys_x": false,
	} {
		if got := legalTopic(name); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}

func TestFirstLevel(t *testing.T) {
	for topic, want := range map[string]string{
		"t1": "t1", "t1/": "t1", "t1/a/b": "t1", "/t1/a": "t1", "/t1": "t1", "/t1/": "t1",
		"": "", "/": "", "//": "", "//x": "", "///x": "", "/ /x": " ", "\u2605/x": "\u2605",
	} {
		if got := firstLevel(topic); got != want {
			t.Errorf("%q: %q, want %q", topic, got, want)
		}
	}
}

func TestFilterFirst(t *testing.T) {
	for filter, want := range map[string]string{
		"t1": "t1", "t1/#": "t1", "t1/+/x": "t1", "/t1/#": "t1", "//#": "", "//+": "", "/": "", "a+": "a+",
		"#": "all", "+": "all", "+/x": "all", "+/#": "all", "/#": "all", "/+": "all", "/+/x": "all",
	} {
		first, all := filterFirst(filter)
		if all {
			if first != "" {
				t.Errorf("%q: all, and %q", filter, first)
			}
			first = "all"
		}
		if first != want {
			t.Errorf("%q: %q, want %q", filter, first, want)
		}
	}
}
