package metrics

// count is a counter that is there with RocketMQ only.
func count(name string, value func(*RocketMQ) int64, help string) family {
	return family{name: "rocketmq_" + name, help: help, kind: counter, values: func(s *Snapshot, p put) {
		if s.RocketMQ != nil {
			p(value(s.RocketMQ))
		}
	}}
}

func rocketmqSending() []family {
	return []family{
		{
			name: "rocketmq_unavailable", kind: gauge,
			help: "1: publishes are not taken, and /readyz says why. Bring the brokers back; nothing has to be restarted here.",
			values: func(s *Snapshot, p put) {
				if s.RocketMQ != nil {
					p(truth(s.RocketMQ.Unavailable))
				}
			},
		},
		count("appended_messages_total", func(r *RocketMQ) int64 { return r.Appended },
			"Messages that brokers have acknowledged."),
		count("sends_total", func(r *RocketMQ) int64 { return r.Sends },
			"Requests that carried these messages: many messages in one mean that brokers are the slower side, which is well."),
		count("resends_total", func(r *RocketMQ) int64 { return r.Resent },
			"Requests sent again: the broker was busy, did not answer in time, or the connection was lost. When it goes on growing, look at the broker's log and load."),
		count("refused_messages_total", func(r *RocketMQ) int64 { return r.Refused },
			"Messages of QoS 1 and 2 that were refused to their publisher, who may send them again: no broker took them within queueFailover, or one said no. The log says which."),
		count("dropped_qos0_messages_total", func(r *RocketMQ) int64 { return r.DroppedQoS0 },
			"Messages of QoS 0 that RocketMQ did not take. Where they matter, publish them with QoS 1."),
		count("less_safe_messages_total", func(r *RocketMQ) int64 { return r.NotOK },
			"Messages that a broker has, but not as safe as it is configured to keep them (FLUSH_DISK_TIMEOUT, FLUSH_SLAVE_TIMEOUT, SLAVE_NOT_AVAILABLE). Look at its disk and its slaves; requireSendOk=true refuses them."),
		count("moved_messages_total", func(r *RocketMQ) int64 { return r.Moved },
			"Messages sent to another broker since that of their topic was away for longer than queueFailover. Their order to those before is lost."),
		count("lmq_left_out_total", func(r *RocketMQ) int64 { return r.LMQLeftOut },
			"Light queues that messages should be in, for clients of Java proxies, and are not: a comma, a control character or too many bytes in the topic, more filters than there is room for, or more queues than maxLmqQueues. The log names a topic."),
		count("lmq_offsets_left_total", func(r *RocketMQ) int64 { return r.LMQNotMoved },
			"Offsets of light queues that stay behind though a client has gone on: a broker did not take them, they are more than maxLmqQueues, or too many sessions ended at once. At a Java proxy the client gets messages again."),
	}
}

func rocketmqReading() []family {
	return []family{
		count("read_messages_total", func(r *RocketMQ) int64 { return r.Read },
			"Messages read from the topics that are followed, those included that nobody here has subscribed to."),
		count("duplicate_messages_total", func(r *RocketMQ) int64 { return r.Duplicates },
			"Second copies among these, of messages that were sent again. They are left out."),
		count("foreign_messages_total", func(r *RocketMQ) int64 { return r.Foreign },
			"Messages among these that RocketMQ producers or Java proxies have written."),
		count("unreadable_messages_total", func(r *RocketMQ) int64 { return r.Unreadable },
			"Messages among these that were left out: damaged, of no valid MQTT topic, or sent once more by a Java proxy to one client of its own. The log names the first; correct what its producer puts into mqttTopic."),
		count("log_went_back_total", func(r *RocketMQ) int64 { return r.WentBack },
			"Times that a queue ended before what had been read of it: its broker lost messages in a crash. flushDiskType=SYNC_FLUSH on the brokers avoids it."),
		count("expired_offsets_total", func(r *RocketMQ) int64 { return r.Expired },
			"Offsets that brokers had deleted before they were read, those of other topics included. Lengthen the brokers' fileReservedTime."),
		count("skipped_offsets_total", func(r *RocketMQ) int64 { return r.Skipped },
			"Offsets that sessions did not have to read when they came back, since the index of messages in dataDir says that nothing for them is there."),
		count("shared_pulls_total", func(r *RocketMQ) int64 { return r.Shared },
			"Reads of RocketMQ that a session which came back did not have to make, since another one had made it a moment before."),
		count("index_halved_total", func(r *RocketMQ) int64 { return r.IndexHalved },
			"Times that this index had reached maxIndexBytes and its older half was dropped: sessions that are away for longer than it reaches back read everything."),
	}
}

func rocketmqSessions() []family {
	return []family{
		count("session_records_read_total", func(r *RocketMQ) int64 { return r.Sessions.Read },
			"Records read of the changelog that the sessions of all nodes are in."),
		count("session_records_void_total", func(r *RocketMQ) int64 { return r.Sessions.Void },
			"Records among these that do not count: another one came first, or they came twice. Few of them are as it should be."),
		count("session_records_unreadable_total", func(r *RocketMQ) int64 { return r.Sessions.Unreadable },
			"Records among these that this version cannot read. When they go on, nodes of a later version are there: bring all to one version."),
		count("session_records_appended_total", func(r *RocketMQ) int64 { return r.Sessions.Appended },
			"Records that this node has given to the changelog."),
		count("session_changes_refused_total", func(r *RocketMQ) int64 { return r.Sessions.Refused },
			"Changes of sessions that were refused, since too much waits for brokers. Look at those of MQTT_SYS_SESSION."),
		count("wills_dropped_total", func(r *RocketMQ) int64 { return r.Sessions.WillsDropped },
			"Wills that are not published, since more than 8 of one client waited. Look for topics that take no messages, and for several devices with one client id."),
		count("sessions_taken_total", func(r *RocketMQ) int64 { return r.Sessions.Taken },
			"Clients of this node that connected to another one."),
		count("sessions_torn_total", func(r *RocketMQ) int64 { return r.Sessions.Waited },
			"Sessions that this node went on with though the node before had not said where they stood: messages of QoS 1 may have come twice. When it grows, look for nodes that hang."),
		count("node_paused_total", func(r *RocketMQ) int64 { return r.Paused },
			"Times that this process was stopped for more than 3 s, or the machine was. It then serves nobody until it has read what other nodes did meanwhile. Look for SIGSTOP, swapping, or a machine that is moved or short of processors."),
		count("nodes_fenced_total", func(r *RocketMQ) int64 { return r.Sessions.Fences },
			"Times that this node took another one for dead. Look there for why."),
		count("node_lost_total", func(r *RocketMQ) int64 { return r.Sessions.Fenced },
			"Times that other nodes took this one for dead, by queue of the changelog: its clients there had to connect again. Look for a process that was stopped, or slow brokers."),
	}
}

func rocketmqRetained() []family {
	level := func(f family) family {
		f.kind = gauge
		return f
	}
	return []family{
		level(count("retained_messages", func(r *RocketMQ) int64 { return r.Retained.Messages },
			"Retained messages, of all nodes. maxRetainedTopicNum bounds them for each first topic level.")),
		level(count("retained_bytes", func(r *RocketMQ) int64 { return r.Retained.Bytes },
			"Size of all of them. maxRetainedBytes bounds it.")),
		count("retained_records_read_total", func(r *RocketMQ) int64 { return r.Retained.Read },
			"Records read of the log that the retained messages of all nodes are in."),
		count("retained_records_older_total", func(r *RocketMQ) int64 { return r.Retained.Older },
			"Records among these of messages that were not the last of their topic any more. They come from publishers that retain one topic at the same time."),
		count("retained_records_unreadable_total", func(r *RocketMQ) int64 { return r.Retained.Unreadable },
			"Records among these that this version cannot read. When they go on, nodes of a later version are there: bring all to one version."),
		count("retained_records_renewed_total", func(r *RocketMQ) int64 { return r.Retained.Renewed },
			"Records that this node has written again, before brokers drop them."),
		count("retained_late_total", func(r *RocketMQ) int64 { return r.Retained.Late },
			"Retained messages that were looked for again among subscriptions that had begun meanwhile."),
		count("retained_unwritten_total", func(r *RocketMQ) int64 { return r.NotRetained },
			"Messages that were appended, and refused all the same, since it could not be written down that they are retained. Look at the brokers that have MQTT_SYS_RETAINED."),
		count("retained_unread_total", func(r *RocketMQ) int64 { return r.RetainedUnread },
			"Times that a new subscription got its retained messages without the latest ones, by queue of MQTT_SYS_RETAINED: its broker did not answer."),
	}
}

func rocketmqCluster() []family {
	return []family{
		count("route_errors_total", func(r *RocketMQ) int64 { return r.RouteErrors },
			"Questions to the name servers that were not answered. While it grows, new topics and new brokers are not found: check NAMESRV_ADDR and the name servers."),
		count("brokers_failed_total", func(r *RocketMQ) int64 { return r.BrokersFailed },
			"Times that a broker was given up. The log names it."),
		count("topics_created_total", func(r *RocketMQ) int64 { return r.TopicsCreated },
			"Topics that were created, counted once for each broker. They are kept when nobody uses them any more."),
		count("topics_denied_total", func(r *RocketMQ) int64 { return r.TopicsDenied },
			"Times that RocketMQ did not let a topic be created. Its messages go to defaultTopic: grant the right to create topics, or create it with mqadmin."),
		count("forgotten_topics_total", func(r *RocketMQ) int64 { return r.Forgotten },
			"Topics that are subscribed to, do not exist, and are not looked for any more, since there were too many of them, until one of our nodes creates them or somebody subscribes again. Clients make up first levels that nobody publishes to."),
		count("registry_strangers_total", func(r *RocketMQ) int64 { return r.NotRegistered },
			"Messages in MQTT_SYS_TOPIC that are no names of topics. Nobody else should write to it."),
		count("connections_lost_total", func(r *RocketMQ) int64 { return r.Lost },
			"Connections to name servers and brokers that were lost or could not be made."),
		count("requests_without_room_total", func(r *RocketMQ) int64 { return r.NoRoom },
			"Requests that were not sent since too much waits on the connection: the broker does not keep up."),
		count("requests_timed_out_total", func(r *RocketMQ) int64 { return r.TimedOut },
			"Requests that were not answered in time."),
		count("stray_answers_total", func(r *RocketMQ) int64 { return r.Stray },
			"Answers to no request that still waits: they came too late."),
		count("requests_received_total", func(r *RocketMQ) int64 { return r.Requested },
			"Requests of brokers to this node. None is expected; they are ignored."),
	}
}
