package metrics

import (
	"bytes"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// Connections, sessions, subscriptions, messages, bytes and acknowledgements are shown as they were.
func TestTraffic(t *testing.T) {
	b := start(t, "maxConn=1000")
	expect(t, b, "nobody was there", values{
		"connections_open": 0, "connections_limit": 1000, "connections_accepted_total": 0, "sessions_connected": 0, "sessions_stored": 0,
		"subscriptions": 0, "filters": 0, "store_full": 0, "store_failed": 0, "store_survives_power_loss": 1,
	})
	sub, pub := connect(t, b, "sub", keep), connect(t, b, "pub")
	sub.subscribe("a/#", 2)
	sub.subscribe("b", 0)
	sub.subscribe("$share/g/c", 0)
	dial(t, b)
	for qos, n := range []int{5, 6, 7} {
		for range n {
			pub.publish("a/b", bytes.Repeat([]byte("x"), 100*(qos+1)), byte(qos))
			sub.receive()
		}
	}
	pub.publish("nobody/wants/it", []byte("payload"), 0)
	expect(t, b, "after the traffic", values{
		"connections_open": 3, "connections_accepted_total": 3, "connects_total": 2,
		"sessions_connected": 2, "sessions_stored": 1, "subscriptions": 3, "shared_subscriptions": 1, "filters": 3,
		`messages_received_total{qos="0"}`: 6, `messages_received_total{qos="1"}`: 6, `messages_received_total{qos="2"}`: 7,
		`messages_sent_total{qos="0"}`: 5, `messages_sent_total{qos="1"}`: 6, `messages_sent_total{qos="2"}`: 7,
		`payload_received_bytes_total{qos="0"}`: 507, `payload_received_bytes_total{qos="1"}`: 1200, `payload_received_bytes_total{qos="2"}`: 2100,
		`payload_sent_bytes_total{qos="0"}`: 500, `payload_sent_bytes_total{qos="1"}`: 1200, `payload_sent_bytes_total{qos="2"}`: 2100,
		`acks_received_total{packet="puback"}`: 6, `acks_received_total{packet="pubrec"}`: 7, `acks_received_total{packet="pubrel"}`: 7, `acks_received_total{packet="pubcomp"}`: 7,
		`acks_sent_total{packet="puback"}`: 6, `acks_sent_total{packet="pubrec"}`: 7, `acks_sent_total{packet="pubrel"}`: 7, `acks_sent_total{packet="pubcomp"}`: 7,
		`inflight_messages{direction="in"}`: 0, `inflight_messages{direction="out"}`: 0, "catching_up_sessions": 0, "output_queue_bytes": 0,
		"network_received_bytes_total": float64(sub.nc.out.Load() + pub.nc.out.Load()),
		"network_sent_bytes_total":     float64(sub.nc.in.Load() + pub.nc.in.Load()),
	})

	pub.send(&mqtt.Publish{QoS: 2, PacketID: 9, Topic: []byte("a/b")})
	pub.wantAck(mqtt.PUBREC, mqtt.Success)
	sub.send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: read[mqtt.Publish](sub).PacketID})
	expect(t, b, "an exchange is not over", values{`inflight_messages{direction="in"}`: 1, `inflight_messages{direction="out"}`: 1})
	_, _ = sub.Close(), pub.Close()
	expect(t, b, "they have gone", values{
		"connections_open": 1, "sessions_connected": 0, "sessions_stored": 1, "subscriptions": 0, "shared_subscriptions": 1, "filters": 1, `inflight_messages{direction="in"}`: 0,
	})
}

// The log's numbers follow from what was appended.
func TestStore(t *testing.T) {
	b := start(t, "segmentSize=1MB", "maxPacketSizeInByte=262144", "retentionBytes=2MB")
	pub := connect(t, b, "pub")
	before := scrape(t, b)
	const n, size = 64, 100 << 10
	for range n {
		pub.publish("t", make([]byte, size), 1)
	}
	eventually(t, "the log was written and shortened", func() bool {
		v := scrape(t, b)
		records := v["store_next_offset"] - before["store_next_offset"] // checkpoints too
		written := v["store_written_bytes_total"] - before["store_written_bytes_total"]
		return records >= n && written >= n*size && written <= records*(size+200) &&
			v["store_batch_records_sum"]-before["store_batch_records_sum"] == records &&
			v["store_append_seconds_count"] == v["store_batch_records_count"] &&
			v["store_append_seconds_count"]-before["store_append_seconds_count"] >= n &&
			v["store_sync_seconds_count"]-before["store_sync_seconds_count"] >= n &&
			v["store_append_seconds_sum"] >= v["store_sync_seconds_sum"]/2 && v["store_sync_seconds_sum"] > 0 &&
			v["store_log_bytes"] <= 2<<20 && v["store_segments"] <= 3 && v["store_first_offset"] > 0 &&
			v["store_retention_segments_total"] >= 4 && v["store_retention_bytes_total"]+v["store_log_bytes"] >= written &&
			v["store_disk_free_bytes"] > v["store_disk_reserve_bytes"] && v["store_disk_reserve_bytes"] == 256<<20 &&
			v["store_oldest_segment_timestamp_seconds"] >= before["store_oldest_segment_timestamp_seconds"]
	})
}
