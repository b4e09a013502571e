package metrics

import "github.com/prometheus/client_golang/prometheus"

// put adds a value of a family, with a value for each of its labels.
type put func(value int64, labels ...string)

// family declares one metric. Its help says what to do about it where there is something to do.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	values     func(*Snapshot, put)
	histogram  func(*Store) Histogram // instead of values
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// one is a family with one value.
func one(kind prometheus.ValueType, name string, value func(*Snapshot) int64, help string) family {
	return family{name: name, help: help, kind: kind, values: func(s *Snapshot, p put) { p(value(s)) }}
}

func by(kind prometheus.ValueType, name, label string, values func(*Snapshot, put), help string) family {
	return family{name: name, help: help, kind: kind, labels: []string{label}, values: values}
}

// stored is a family of the embedded log, and there with that only.
func stored(kind prometheus.ValueType, name string, value func(*Store) int64, help string) family {
	return family{name: name, help: help, kind: kind, values: func(s *Snapshot, p put) {
		if s.Store != nil {
			p(value(s.Store))
		}
	}}
}

// buckets is stored with a histogram.
func buckets(name string, h func(*Store) Histogram, help string) family {
	return family{name: name, help: help, histogram: h}
}

// byQoS is a value for each QoS.
func byQoS(of func(*Snapshot) *[3]int64) func(*Snapshot, put) {
	return func(s *Snapshot, p put) {
		n := of(s)
		p(n[0], "0")
		p(n[1], "1")
		p(n[2], "2")
	}
}

func byPacket(of func(*Snapshot) *Acks) func(*Snapshot, put) {
	return func(s *Snapshot, p put) {
		n := of(s)
		p(n.Puback, "puback")
		p(n.Pubrec, "pubrec")
		p(n.Pubrel, "pubrel")
		p(n.Pubcomp, "pubcomp")
	}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// families are all metrics of the broker's own, in the order of docs/metrics.md.
func families() []family {
	var all []family
	for _, group := range [][]family{connections(), sessions(), messages(), clientEvents(), catchUp(), storeLog(), storeDisk(), rocketmqSending(), rocketmqReading(), rocketmqSessions(), rocketmqRetained(), rocketmqCluster()} {
		all = append(all, group...)
	}
	return all
}

func connections() []family {
	return []family{
		one(gauge, "connections_open", func(s *Snapshot) int64 { return int64(s.Connections.Open) },
			"Network connections, those included that have not sent CONNECT."),
		one(gauge, "connections_limit", func(s *Snapshot) int64 { return int64(s.Connections.Limit) },
			"The key maxConn, or what the limit on open files of the process leaves of it. When connections_open comes near it, raise it, and the limit on open files of the process with it."),
		one(counter, "connections_accepted_total", func(s *Snapshot) int64 { return s.Connections.Accepted },
			"Network connections that were accepted, those that are only told that there are too many included."),
		one(counter, "connects_total", func(s *Snapshot) int64 { return s.Connections.Connects },
			"CONNECT packets that were accepted. A rate far above what clients are expected to do means that they lose their connections: see connections_closed_total and the log."),
		by(counter, "connections_refused_total", "reason", func(s *Snapshot, p put) {
			r := &s.Connections.Refused
			p(r.Limit, "limit")
			p(r.Handshake, "handshake")
			p(r.Login, "login")
			p(r.Protocol, "protocol")
			p(r.Quota, "quota")
			p(r.Unsupported, "unsupported")
			p(r.Unavailable, "unavailable")
		}, "Connections that were not let in. limit: beyond maxConn. handshake: TLS or WebSocket. login: name, password or right. protocol: no valid CONNECT. quota: maxSessions, or the disk is full. unsupported: asks for what this broker does not have. unavailable: it is stopping or its store does not answer."),
		by(counter, "connections_closed_total", "reason", func(s *Snapshot, p put) {
			c := &s.Connections.Closed
			p(c.Slow, "slow")
			p(c.Timeout, "timeout")
			p(c.Protocol, "protocol")
			p(c.TakenOver, "taken_over")
		}, "Connections that the broker ended. slow: the client did not read what was sent. timeout: no CONNECT, no whole packet, or no packet within the keep-alive. protocol: it broke the protocol; the log says how. taken_over: its client id connected again; when that goes on, two clients share an id."),
		one(counter, "accept_errors_total", func(s *Snapshot) int64 { return s.Connections.AcceptErrors },
			"Times the system refused to accept a connection. Raise the limit on open files of the process (ulimit -n, LimitNOFILE)."),
		one(counter, "network_received_bytes_total", func(s *Snapshot) int64 { return s.In.Bytes },
			"Bytes of MQTT packets received, without TLS and WebSocket framing."),
		one(counter, "network_sent_bytes_total", func(s *Snapshot) int64 { return s.Out.Bytes },
			"Bytes of MQTT packets sent, without TLS and WebSocket framing."),
		one(gauge, "output_queue_bytes", func(s *Snapshot) int64 { return s.Connections.QueuedBytes },
			"Memory that holds what waits to be written to clients. When it stays high, clients or their network are slower than what they subscribed to."),
		one(gauge, "input_buffer_bytes", func(s *Snapshot) int64 { return s.Connections.PartialBytes },
			"Memory that holds what was read from clients and is not yet handled."),
		one(counter, "packets_discarded_total", func(s *Snapshot) int64 { return s.Connections.Discarded },
			"Packets for connections that were ending. Messages of QoS 1 and 2 among them are sent again when the client is back."),
	}
}

func sessions() []family {
	return []family{
		one(gauge, "sessions_connected", func(s *Snapshot) int64 { return s.Sessions.Connected },
			"Sessions whose client is connected."),
		one(gauge, "sessions_stored", func(s *Snapshot) int64 { return s.Sessions.Stored },
			"Sessions that outlive their connection, connected or not. At maxSessions new ones are refused: raise that, or lower maxSessionExpiry."),
		one(gauge, "subscriptions", func(s *Snapshot) int64 { return s.Sessions.Subscriptions },
			"Subscriptions of the connected sessions."),
		one(gauge, "shared_subscriptions", func(s *Snapshot) int64 { return s.Sessions.Shared },
			"Groups of shared subscriptions, those whose members are all away included."),
		one(gauge, "filters", func(s *Snapshot) int64 { return s.Sessions.Filters },
			"Different topic filters among the subscriptions and groups."),
	}
}

func messages() []family {
	return []family{
		by(counter, "messages_received_total", "qos", byQoS(func(s *Snapshot) *[3]int64 { return &s.In.Messages }),
			"PUBLISH packets received, those sent again and those refused included."),
		by(counter, "messages_sent_total", "qos", byQoS(func(s *Snapshot) *[3]int64 { return &s.Out.Messages }),
			"PUBLISH packets sent, those sent again included."),
		by(counter, "payload_received_bytes_total", "qos", byQoS(func(s *Snapshot) *[3]int64 { return &s.In.Payload }),
			"Bytes of the payloads of messages_received_total."),
		by(counter, "payload_sent_bytes_total", "qos", byQoS(func(s *Snapshot) *[3]int64 { return &s.Out.Payload }),
			"Bytes of the payloads of messages_sent_total."),
		by(counter, "acks_received_total", "packet", byPacket(func(s *Snapshot) *Acks { return &s.In.Acks }),
			"Acknowledgements received: puback, pubrec and pubcomp of subscribers, pubrel of publishers."),
		by(counter, "acks_sent_total", "packet", byPacket(func(s *Snapshot) *Acks { return &s.Out.Acks }),
			"Acknowledgements sent: puback, pubrec and pubcomp to publishers, pubrel to subscribers."),
		by(gauge, "inflight_messages", "direction", func(s *Snapshot, p put) {
			p(s.Sessions.Receiving, "in")
			p(s.Sessions.Sending, "out")
		}, "Messages of QoS 1 and 2 whose exchange is not over, of connected sessions. in: the broker owes an acknowledgement; many mean a slow disk, see store_append_seconds, or slow brokers of RocketMQ. out: a client owes one."),
		by(counter, "messages_dropped_total", "reason", func(s *Snapshot, p put) {
			d := &s.Dropped
			p(d.Full, "full")
			p(d.Expired, "expired")
			p(d.TooLarge, "too_large")
			p(d.SharedGone, "shared_gone")
			p(d.NotRetained, "not_retained")
		}, "Messages that did not reach one receiver. full: QoS 0 for a client that reads too slowly; highWater is how much may wait. expired: their expiry passed. too_large: above the client's Maximum Packet Size. shared_gone: QoS 2 of a shared subscription whose session ended. not_retained: a will that was published, but not retained; see quota of publishes_refused_total."),
		by(counter, "publishes_refused_total", "reason", func(s *Snapshot, p put) {
			r := &s.Rejected
			p(r.Topic, "topic")
			p(r.Retain, "retain")
			p(r.Full, "full")
			p(r.TooLarge, "too_large")
			p(r.Quota, "quota")
			p(r.Failed, "failed")
		}, "Publishes that were not taken; publishers were told. topic: clients must not publish there. retain: no retained messages are kept (enableMetaModule=false). full: free disk space or lower the retention. too_large: above what the store takes, properties included. quota: too many retained messages, see maxRetainedTopicNum and maxRetainedBytes. failed: the store failed or is closed, or RocketMQ did not take it within queueFailover."),
	}
}

func clientEvents() []family {
	return []family{
		by(counter, "client_events_total", "result", func(s *Snapshot, p put) {
			if e := s.Events; e != nil {
				p(e.Stored, "stored")
				p(e.Full, "dropped_full")
				p(e.Refused, "dropped_refused")
			}
		}, "Messages about clients, with the key clientEventTopic only. stored: those that the store has. dropped_full: more happened than the store took. dropped_refused: the store did not take them; the log says why."),
	}
}

func catchUp() []family {
	return []family{
		one(gauge, "catching_up_sessions", func(s *Snapshot) int64 { return s.Sessions.Behind },
			"Connected sessions and shared subscriptions that read messages from the log because they are not at its end: they came back, or receive more slowly than is published."),
		one(gauge, "catch_up_lag_offsets", func(s *Snapshot) int64 { return s.Sessions.FurthestBehind },
			"How far the last of these is behind the end, in records of the log, those of other topics included. When it grows without end, that client loses messages once the retention overtakes it: add receivers in a shared subscription, or lengthen retentionTime (fileReservedTime of RocketMQ's brokers)."),
		one(counter, "catch_ups_total", func(s *Snapshot) int64 { return s.Sessions.CatchUps },
			"Times a session or a shared subscription could take no more and left the end of the log."),
		one(counter, "missed_offsets_total", func(s *Snapshot) int64 { return s.Sessions.MissedOffsets },
			"Records of the log that had been deleted before a session read them, those of other topics included. When it grows, sessions are away for longer than retentionTime (fileReservedTime of RocketMQ's brokers), or retentionBytes is small."),
	}
}

func storeLog() []family {
	return []family{
		buckets("store_append_seconds", func(s *Store) Histogram { return s.Append },
			"Time from the first append of a batch until those who appended were told: what a publisher waits for PUBACK. One observation for each batch."),
		buckets("store_sync_seconds", func(s *Store) Histogram { return s.Sync },
			"Time of one sync of the log (fdatasync). When it is long the disk is slow or shared: a publisher waits for one or two of them."),
		buckets("store_batch_records", func(s *Store) Histogram { return s.Batch },
			"Records that one write and one sync made durable together."),
		stored(counter, "store_written_bytes_total", func(s *Store) int64 { return s.WrittenBytes },
			"Bytes of records written to the log: messages and changes of sessions."),
		stored(counter, "store_append_waits_total", func(s *Store) int64 { return s.Waits },
			"Times an append waited because the batch that is being collected was full: publishers are faster than the disk."),
		stored(gauge, "store_first_offset", func(s *Store) int64 { return s.FirstOffset },
			"Offset of the oldest record that is kept."),
		stored(gauge, "store_next_offset", func(s *Store) int64 { return s.NextOffset },
			"Offset that the next record gets. Its increase is the number of records written."),
		stored(gauge, "store_segments", func(s *Store) int64 { return s.Segments },
			"Files of the log."),
		stored(gauge, "store_log_bytes", func(s *Store) int64 { return s.Bytes },
			"Size of the log. retentionBytes and retentionTime bound it."),
		stored(gauge, "store_oldest_segment_timestamp_seconds", func(s *Store) int64 { return s.Oldest.Unix() },
			"When the oldest file of the log was begun: older messages are gone."),
		stored(counter, "store_retention_segments_total", func(s *Store) int64 { return s.DroppedSegments },
			"Files of the log that retention deleted."),
		stored(counter, "store_retention_bytes_total", func(s *Store) int64 { return s.DroppedBytes },
			"Bytes of these files."),
		stored(gauge, "retained_messages", func(s *Store) int64 { return s.Retained },
			"Retained messages. maxRetainedTopicNum bounds them for each first topic level."),
		stored(gauge, "retained_bytes", func(s *Store) int64 { return s.RetainedBytes },
			"Size of all retained messages. maxRetainedBytes bounds it."),
		one(gauge, "store_survives_power_loss", func(s *Snapshot) int64 { return truth(s.SurvivesPowerLoss) },
			"1: an acknowledged message survives a power loss (flushDiskType=SYNC_FLUSH; with store=rocketmq, of all brokers). 0: only a crash of the process (ASYNC_FLUSH)."),
	}
}

func storeDisk() []family {
	return []family{
		stored(gauge, "store_disk_free_bytes", func(s *Store) int64 { return s.DiskFree },
			"Free space on the disk of dataDir. Alert before it falls to store_disk_reserve_bytes."),
		stored(gauge, "store_disk_reserve_bytes", func(s *Store) int64 { return s.DiskReserve },
			"The key diskReserve: with less free space publishes are refused."),
		stored(gauge, "store_full", func(s *Store) int64 { return truth(s.Full) },
			"1: publishes are refused for lack of space. Free space on the disk or lower the retention; then they are taken again without a restart."),
		one(gauge, "store_failed", func(s *Snapshot) int64 { return truth(s.Failed) },
			"1: a write or sync to dataDir failed and the process is about to end. Check the disk and the kernel's log; what was acknowledged is kept."),
	}
}
