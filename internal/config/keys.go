package config

import (
	"log/slog"
	"math"
	"time"
)

func listenKeys() []Key {
	return []Key{
		key(ConnectConf, "bindAddress", "", addresses(), func(c *Config) *string { return &c.BindAddress },
			"Address that clients connect to. Default: all interfaces when username and secretKey are set (as the Java proxy), else 127.0.0.1. Other machines without any login need allowAnonymous=true."),
		key(ConnectConf, "mqttPort", "1883", ports(), func(c *Config) *Port { return &c.MQTTPort },
			"MQTT over TCP.", java),
		key(ConnectConf, "mqttWsPort", "8888", ports(), func(c *Config) *Port { return &c.WSPort },
			"MQTT over WebSocket, path /mqtt, sub-protocol mqtt. TLS is not accepted on it: see mqttWssPort.", java,
			differs("answers on the path /mqtt alone, and without TLS, which has mqttWssPort; there any path, and TLS on the same port")),
		key(ConnectConf, "enableTlsSever", "false", bools(), func(c *Config) *bool { return &c.TLS },
			"Listen on mqttTlsPort and mqttWssPort too. The Java proxy's spelling; enableTlsServer is understood.", java, alias("enableTlsServer"),
			differs("turns TLS on; the main branch there has no way to turn it on from a file")),
		key(ConnectConf, "mqttTlsPort", "8883", ports(), func(c *Config) *Port { return &c.TLSPort },
			"MQTT over TLS 1.2 or 1.3, when enableTlsSever=true.", java),
		key(ConnectConf, "mqttWssPort", "off", ports(), func(c *Config) *Port { return &c.WSSPort },
			"MQTT over WebSocket over TLS, when enableTlsSever=true."),
		key(ConnectConf, "sslServerCertFile", "mqtt.crt", files(), func(c *Config) *string { return &c.TLSCert },
			"Certificate chain, PEM. A relative path starts at the conf directory.", java),
		key(ConnectConf, "sslServerKeyFile", "mqtt.key", files(), func(c *Config) *string { return &c.TLSKey },
			"Private key of the certificate, PEM, not encrypted.", java,
			differs("must not be encrypted")),
		key(ConnectConf, "sslCaCertFile", "", files(), func(c *Config) *string { return &c.TLSClientCA },
			"Authorities that sign client certificates, PEM. Set, a certificate that a client shows is verified.", java),
		key(ConnectConf, "needClientAuth", "false", bools(), func(c *Config) *bool { return &c.TLSClientAuth },
			"TLS clients must show a certificate signed by sslCaCertFile.", java,
			differs("is obeyed; the main branch there cannot read it from a file")),
	}
}

func exporterKeys() []Key {
	return []Key{
		key(ConnectConf, "exporterPort", "9090", ports(), func(c *Config) *Port { return &c.ExporterPort },
			"Metrics for Prometheus and health, over HTTP: /metrics, /healthz, /readyz. See docs/metrics.md.", java,
			differs("has metrics of other names, on the path /metrics alone (docs/metrics.md); /-/healthy is answered as there")),
		key(ConnectConf, "exporterAddress", loopback, addresses(), func(c *Config) *string { return &c.ExporterAddress },
			"Address that exporterPort listens on, whatever bindAddress is: there is no login on it. The Java proxy listens on all interfaces."),
		key(ConnectConf, "enablePrometheus", "true", bools(), func(c *Config) *bool { return &c.Exporter },
			"false closes exporterPort, as exporterPort=off does. The Java proxy's default is false, but the files it ships with say true.", java, there("false")),
	}
}

func connectionKeys() []Key {
	return []Key{
		key(ConnectConf, "maxConn", "100000", ints(1, 10_000_000), func(c *Config) *int { return &c.MaxConnections },
			"Connections at a time, all listeners together. One more is answered with a CONNACK code and closed.", java,
			differs("has one more told so in CONNACK (0x89; 3 in MQTT 3) before it is closed, there it is closed")),
		key(ConnectConf, "connectTimeout", "10s", durations(time.Second, 10*time.Minute, false), func(c *Config) *time.Duration { return &c.ConnectTimeout },
			"Time for the TLS and WebSocket handshakes and the CONNECT packet together."),
		key(ConnectConf, "maxPacketSizeInByte", "1048576", sizeInts(1024, 1<<28-1), func(c *Config) *int { return &c.MaxPacket },
			"Largest packet that a client may send, in bytes. A larger one is answered with 0x95 and closed. The Java proxy's default is 65536.", java, there("65536"),
			differs("closes the connection of who sends a larger packet, in MQTT 5 with 0x95; there it stays open and hears nothing more")),
		key(ConnectConf, "highWater", "262144", sizeInts(1024, 1<<30), func(c *Config) *int { return &c.HighWater },
			"Bytes waiting to be written to one client above which it is sent no PUBLISH.", java,
			differs("holds QoS 1 and 2 messages back until the client has read on, and drops and counts those of QoS 0; there pushes are skipped")),
		key(ConnectConf, "lowWater", "16384", sizeInts(1, 1<<30), func(c *Config) *int { return &c.LowWater },
			"Bytes waiting at which it is sent PUBLISH again.", java),
		key(ConnectConf, "stopTimeout", "10s", durations(time.Second, 10*time.Minute, false), func(c *Config) *time.Duration { return &c.StopTimeout },
			"Time for a graceful stop: clients are told, what was accepted is stored."),
	}
}

func clientKeys() []Key {
	return []Key{
		key(ConnectConf, "maxKeepAlive", "0", durations(0, math.MaxUint16*time.Second, false), func(c *Config) *time.Duration { return &c.MaxKeepAlive },
			"Longest keep-alive; an MQTT 5 client that asks for more is told this one. 0: no limit."),
		key(ConnectConf, "maxSessionExpiry", "7d", durations(time.Second, (math.MaxUint32-1)*time.Second, true), func(c *Config) *time.Duration { return &c.MaxSessionExpiry },
			"Longest time that a session outlives its connection, MQTT 3 sessions with clean=0 included."),
		key(ConnectConf, "serverReceiveMaximum", "1024", ints(1, math.MaxUint16), func(c *Config) *int { return &c.ReceiveMaximum },
			"QoS 1 and 2 messages that a client may send before they are acknowledged.", java),
		key(ConnectConf, "maxInflight", "1024", ints(1, math.MaxUint16), func(c *Config) *int { return &c.SendWindow },
			"QoS 1 and 2 messages sent to a client before it acknowledges them; its own Receive Maximum may be lower."),
		key(ConnectConf, "topicAliasMaximum", "32", ints(1, math.MaxUint16), func(c *Config) *int { return &c.TopicAliases },
			"Topic aliases of an MQTT 5 client, in each direction.", java),
		key(ConnectConf, "maxSubscriptions", "10000", ints(1, 1_000_000), func(c *Config) *int { return &c.MaxSubscriptions },
			"Topic filters of one client. One more is answered with 0x97."),
		key(ConnectConf, "maxSessions", "1000000", ints(1, 100_000_000), func(c *Config) *int { return &c.MaxSessions },
			"Sessions that outlive their connection, of all clients. A client that would begin one more is refused with 0x97 (3 in MQTT 3); those that exist go on."),
	}
}

func authKeys() []Key {
	return []Key{
		key(ServiceConf, "username", "", texts(), func(c *Config) *string { return &c.Username },
			"User name that clients log in with.", java, exact,
			differs("is demanded before anything else a client sends counts; sessions belong to the user that began them")),
		key(ServiceConf, "secretKey", "", texts(), func(c *Config) *string { return &c.SecretKey },
			"Key of the password: Base64(HMAC-SHA1(secretKey, client id)).", java, exact, secret),
		key(ServiceConf, "allowAnonymous", "", bools(), func(c *Config) *bool { return &c.AllowAnonymous },
			"Accept clients without login. With username and secretKey set: those that give neither name nor password. Default: from this machine only, and only when username and secretKey are not set."),
	}
}

func storeKeys() []Key {
	return []Key{
		key(ServiceConf, "store", "", oneOf(StoreEmbedded, StoreRocketMQ), func(c *Config) *string { return &c.Store },
			"Where messages are kept. Default: rocketmq when NAMESRV_ADDR is set, else embedded."),
		key(ServiceConf, "dataDir", "data", files(), func(c *Config) *string { return &c.DataDir },
			"Directory of the embedded store, created when missing; also --data-dir. A relative path starts at the working directory. With store=rocketmq it has what this node has read of the sessions of all nodes, and is built again when it is gone; each node needs its own."),
		key(ServiceConf, "flushDiskType", "SYNC_FLUSH", flushTypes(), func(c *Config) *bool { return &c.SyncFlush },
			"SYNC_FLUSH: a message is acknowledged once it survives a power loss. ASYNC_FLUSH: once it survives a crash of this process. With store=rocketmq the brokers' own flushDiskType decides."),
		key(ServiceConf, "segmentSize", "64MB", sizes(1<<20, 1<<30), func(c *Config) *int64 { return &c.SegmentSize },
			"Size of one file of the embedded log; the log shrinks by whole files. With store=rocketmq this and the next three keys mean nothing."),
		key(ServiceConf, "retentionTime", "3d", durations(time.Minute, 3650*24*time.Hour, true), func(c *Config) *time.Duration { return &c.RetentionTime },
			"Messages older than this are deleted. With store=rocketmq the brokers' fileReservedTime decides."),
		key(ServiceConf, "retentionBytes", "0", sizes(0, 1<<50), func(c *Config) *int64 { return &c.RetentionBytes },
			"The oldest messages are deleted when the log is larger than this. 0: no limit."),
		key(ServiceConf, "diskReserve", "256MB", sizes(1<<20, 1<<50), func(c *Config) *int64 { return &c.DiskReserve },
			"Free space on the disk below which publishes are refused with 0x97 until there is room again."),
	}
}

func eventKeys() []Key {
	return []Key{
		key(ServiceConf, "p2p", "", bools(), func(c *Config) *bool { return &c.P2P },
			"Whether a client gets what is published to first/p2p/client id, and below that, without SUBSCRIBE. With store=rocketmq that holds for first levels in staticFirstTopics and ALL_FIRST_TOPICS (the same on all nodes). Default: true with store=rocketmq, else false."),
		key(ServiceConf, "clientEventTopic", "off", topicNames(), func(c *Config) *string { return &c.ClientEventTopic },
			"First topic level, and RocketMQ topic, of messages about clients: connected, disconnected and why. The MQTT topic is this, a slash and the client id. Clients may subscribe to it, not publish. See docs/client-events.md."),
	}
}

func rocketmqKeys() []Key {
	return []Key{
		key(ServiceConf, "NAMESRV_ADDR", "", hostPorts(), func(c *Config) *[]string { return &c.NamesrvAddr },
			"Name servers of the RocketMQ to use. They and the brokers need not run yet: the start waits for them.", java),
		key(ServiceConf, "rocketmqAccessKey", "", texts(), func(c *Config) *string { return &c.RocketMQAccessKey },
			"Access key of RocketMQ's ACL, with rocketmqSecretKey. Neither: requests are not signed.", exact),
		key(ServiceConf, "rocketmqSecretKey", "", texts(), func(c *Config) *string { return &c.RocketMQSecretKey },
			"Secret key of RocketMQ's ACL.", exact, secret),
		key(ServiceConf, "rocketmqSecurityToken", "", texts(), func(c *Config) *string { return &c.RocketMQSecurityToken },
			"Security token of RocketMQ's ACL, for access keys that come with one.", exact, secret),
		key(ServiceConf, "rocketmqTls", "false", bools(), func(c *Config) *bool { return &c.RocketMQTLS },
			"Speak TLS with name servers and brokers. Their certificates must be for the hosts in NAMESRV_ADDR and in the brokers' brokerIP1."),
		key(ServiceConf, "rocketmqCaCertFile", "", files(), func(c *Config) *string { return &c.RocketMQCA },
			"Authorities that sign the certificates of name servers and brokers, PEM. A relative path starts at the conf directory. Default: those of the system."),
		key(ServiceConf, "staticFirstTopics", "", firstTopics(), func(c *Config) *[]string { return &c.StaticFirstTopics },
			"First topic levels that are followed from the start, before clients are accepted. Others are followed once somebody subscribes: nothing has to be listed. The embedded store follows every topic."),
		key(ServiceConf, "localAddress", "", texts(), func(c *Config) *string { return &c.LocalAddress },
			"Label of this node in log and metrics. An IP address also goes into the ids of messages. The node needs no address: conf files may be the same on every host."),
		key(ServiceConf, "defaultTopic", "MQTT_DEFAULT", topicNames(), func(c *Config) *string { return &c.DefaultTopic },
			"RocketMQ topic of messages whose first level is none: no legal name of one, not among the first maxFirstTopics, or not to be created. off: such messages and subscriptions are refused."),
		key(ServiceConf, "maxFirstTopics", "256", ints(1, 100_000), func(c *Config) *int { return &c.MaxFirstTopics },
			"First levels that get a RocketMQ topic of their own. Later ones go to defaultTopic."),
		key(ServiceConf, "topicQueueNums", "8", ints(1, 1024), func(c *Config) *int { return &c.TopicQueues },
			"Queues per broker of a RocketMQ topic that is created. A topic that exists is never changed."),
		key(ServiceConf, "queueFailover", "10s", durations(time.Second, 5*time.Minute, false), func(c *Config) *time.Duration { return &c.QueueFailover },
			"How long publishes wait for a broker that does not answer. Then its topics move to another broker, in a new order from there on; without another the publishes are refused."),
		key(ServiceConf, "requireSendOk", "false", bools(), func(c *Config) *bool { return &c.RequireSendOK },
			"true: a message that a broker has, but not as safe as its flushDiskType and brokerRole ask for (FLUSH_DISK_TIMEOUT, SLAVE_NOT_AVAILABLE), is refused to its publisher, who may send it again. false: it is acknowledged and counted."),
		key(ServiceConf, "maxPendingBytes", "64MB", sizes(8<<20, 1<<40), func(c *Config) *int64 { return &c.MaxPendingBytes },
			"Memory of messages that RocketMQ has not acknowledged. At the limit publishers wait."),
		key(ServiceConf, "maxRecentBytes", "64MB", sizes(1<<20, 1<<40), func(c *Config) *int64 { return &c.MaxRecentBytes },
			"Memory of the newest messages, kept for clients that were slow for a moment: they need not read them from RocketMQ again."),
		key(ServiceConf, "maxIndexBytes", "1GB", sizes(0, 1<<50), func(c *Config) *int64 { return &c.MaxIndexBytes },
			"Size on disk, in dataDir, of the index of messages, by which clients that come back pass over what is not for them: about 6 bytes a message. At the limit its older half is dropped. 0: there is none, and all is read."),
		key(ServiceConf, "lmqDispatch", LMQAuto, oneOf(LMQAuto, LMQAlways, LMQNever), func(c *Config) *string { return &c.LMQDispatch },
			"Whether messages go to the light queues (LMQ) that clients of Java proxies read; they are sent one by one then, not in batches. auto: while there are Java proxies on the same RocketMQ, and 10 minutes longer."),
		key(ServiceConf, "clientRetryTopic", "off", topicNames(), func(c *Config) *string { return &c.RetryTopic },
			"RocketMQ topic in which Java proxies keep what their clients have not acknowledged. A client that comes from one gets that first. Nothing is written to it.", java),
		key(ServiceConf, "maxLmqQueues", "20000", ints(1, 10_000_000), func(c *Config) *int { return &c.MaxLMQs },
			"Light queues of topics and of clients that this node writes to within 3 to 6 days. Each takes a file descriptor of a broker, so clients that make up topics could stop it. Messages beyond are not in a light queue of their own."),
	}
}

func metaKeys() []Key {
	return []Key{
		key(ServiceConf, "enableMetaModule", "true", bools(), func(c *Config) *bool { return &c.MetaModule },
			"Retained messages and wills, and the first topics that the name servers list (ALL_FIRST_TOPICS) are followed. false: both are refused, and nothing of them is kept; the list is not read."),
		key(ServiceConf, "retainMsgExpire", "never", milliseconds(time.Second, 3650*24*time.Hour, true), func(c *Config) *time.Duration { return &c.RetainFor },
			"How long a retained message is kept at most. The Java proxy's default is 259200000 (3 days).", java, there("259200000")),
		key(MetaConf, "maxRetainedTopicNum", "10000", ints(1, 100_000_000), func(c *Config) *int { return &c.MaxRetained },
			"Topics with a retained message below one first level. One more is answered with 0x97; in MQTT 3 the connection is closed.", java,
			differs("is a limit that publishers are told of (0x97; in MQTT 3 the connection is closed)")),
		key(MetaConf, "maxRetainedBytes", "1GB", sizes(1<<20, 1<<50), func(c *Config) *int64 { return &c.MaxRetainedBytes },
			"Size of all retained messages together. More is answered as maxRetainedTopicNum says."),
	}
}

func logKeys() []Key {
	return []Key{
		key(ServiceConf, "logLevel", "info", levels(), func(c *Config) *slog.Level { return &c.LogLevel },
			"Least severe lines that are logged, to standard error."),
		key(ServiceConf, "logFormat", LogText, oneOf(LogText, LogJSON), func(c *Config) *string { return &c.LogFormat },
			"Form of a log line."),
	}
}

// javaKeys are accepted so that a conf directory of the Java proxy works as it is.
func javaKeys() []Key {
	var all []Key
	add := func(keys []Key) { all = append(all, keys...) }
	add(nothing(ConnectConf, "threads are not configured: the Go runtime uses all processors", "nettySelectorThreadNum", "nettyWorkerThreadNum"))
	add(nothing(ConnectConf, "order per publisher and topic is always kept", "order"))
	add(nothing(ConnectConf, "a message is sent again when the client reconnects, as the MQTT specification demands, and is never given up", "maxRetryTime", "retryIntervalSeconds"))
	add(nothing(ConnectConf, "a session's place in the log moves on when messages are acknowledged, never before", "sizeOfNotRollWhenAckSlow"))
	add(nothing(ConnectConf, "messages are not cached per queue: all clients share the end of the log", "queueCacheSize", "pullBatchSize", "maxTransferCountOnMessageInDisk"))
	add(nothing(ConnectConf, "nodes send each other no events", "rpcListenPort"))
	add(nothing(ConnectConf, "there is no JVM", "exportJvmInfo"))
	add(nothing(ConnectConf, "encrypted keys are not read: decrypt it once with openssl pkey", "sslServerKeyPassword"))
	add(nothing(ConnectConf, "QUIC and CoAP are not spoken", "enableQuic", "quicPort", "enableCoapConnect", "coapPort", "coapSessionTimeout"))
	add(nothing(ConnectConf, "always on", "enableSharedSubscription", "enableSubscriptionIdentifier"))
	add(nothing(ConnectConf, "enableMetaModule decides", "enableRetain"))
	add(nothing(ServiceConf, "nodes send each other no events", "eventNotifyRetryTopic", "eventNotifyRetryMaxTime", "csRpcPort"))
	add(nothing(ServiceConf, "there are no p2p queues: a session's place in the log says what it has not got", "clientP2pTopic"))
	add(nothing(ServiceConf, "there is no meta service", "metaAddr"))
	add(nothing(ServiceConf, "the Java proxy does not use it either", "authThreadNum"))
	add(nothing(ServiceConf, "there is no consumer of this kind", "threadNum", "pullBatch"))
	add(nothing(MetaConf, "there is no meta service", "selfAddress", "membersAddress", "allNodeAddress", "raftNodePort", "metaPort",
		"electionTimeoutMs", "snapshotIntervalSecs", "raftServiceName", "scanNum"))
	return all
}
