package proxy

import (
	"context"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/events"
	"github.com/rocketmqtt/rocketmqtt/internal/metrics"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/server"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/retained"
	"github.com/rocketmqtt/rocketmqtt/internal/store/rocketmq"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// export answers questions about the broker from now on, if anybody wants that.
func (p *Proxy) export(ctx context.Context) error {
	addr := p.cfg.ListenExporter()
	if addr == "" {
		return nil
	}
	p.exporter = metrics.New(metrics.Options{
		Snapshot: p.snapshot, Alive: p.alive, Ready: p.isReady, Address: p.cfg.LocalAddress,
		Log: throttle.New(p.log, 10*time.Second, time.Now).Handler("HTTP, metrics"),
	})
	var err error
	p.metrics, err = p.exporter.Listen(ctx, addr)
	return err
}

// snapshot gathers what every part says of itself; nil before they are there.
func (p *Proxy) snapshot() *metrics.Snapshot {
	if !p.complete.Load() {
		return nil
	}
	s := &metrics.Snapshot{}
	fillServer(s, p.server.Stats())
	fillSessions(s, p.sessions.Stats(), p.sessions.Survey())
	if p.embedded != nil {
		fillStore(s, p.embedded.Stats())
	}
	s.Sessions.Stored = p.store.Sessions()
	s.Sessions.Filters = int64(p.router.Filters())
	s.SurvivesPowerLoss, _ = p.promise()
	s.Failed = p.store.Err() != nil
	if p.events != nil {
		s.Events = &metrics.Events{}
		fillEvents(s.Events, p.events.Stats())
	}
	if p.rocketmq != nil {
		s.RocketMQ = &metrics.RocketMQ{}
		fillRocketMQ(s.RocketMQ, p.rocketmq.Stats())
		fillChangelog(&s.RocketMQ.Sessions, p.rocketmq.ChangelogStats())
		fillRetained(&s.RocketMQ.Retained, p.rocketmq.RetainedStats())
		fillClient(s.RocketMQ, p.client.Stats())
		s.RocketMQ.Unavailable = p.rocketmq.Accepting() != nil
	}
	return s
}

func fillServer(s *metrics.Snapshot, from server.Stats) {
	c := &s.Connections
	c.Open, c.Limit = from.Open, from.Limit
	c.Accepted = int64(from.Accepted)
	c.Refused.Limit = int64(from.Refused)
	c.Refused.Handshake = int64(from.Handshakes)
	c.Closed.Slow = int64(from.Slow)
	c.Closed.Timeout = int64(from.Timeouts)
	c.AcceptErrors = int64(from.AcceptErrs)
	c.QueuedBytes = from.Queued
	c.PartialBytes = from.Partial
	c.Discarded = int64(from.Dropped)
	s.In.Bytes, s.Out.Bytes = int64(from.BytesIn), int64(from.BytesOut)
}

func fillSessions(s *metrics.Snapshot, from *session.Stats, now session.Survey) {
	c := &s.Connections
	c.Connects = from.Connects.Load()
	c.Refused.Login = from.Refused[session.RefusedLogin].Load()
	c.Refused.Protocol = from.Refused[session.RefusedProtocol].Load()
	c.Refused.Quota = from.Refused[session.RefusedQuota].Load()
	c.Refused.Unsupported = from.Refused[session.RefusedUnsupported].Load()
	c.Refused.Unavailable = from.Refused[session.RefusedUnavailable].Load()
	c.Closed.Protocol = from.Broken.Load()
	c.Closed.TakenOver = from.TakenOver.Load()
	fillTraffic(&s.In, &from.In)
	fillTraffic(&s.Out, &from.Out)
	s.Dropped = metrics.Drops{
		Full:       from.Dropped[session.DropFull].Load(),
		Expired:    from.Dropped[session.DropExpired].Load(),
		TooLarge:   from.Dropped[session.DropLarge].Load(),
		SharedGone: from.Dropped[session.DropShared].Load(),

		NotRetained: from.Dropped[session.DropRetained].Load(),
	}
	s.Rejected = metrics.Rejections{
		Topic:    from.Rejected[session.RejectedTopic].Load(),
		Retain:   from.Rejected[session.RejectedRetain].Load(),
		Full:     from.Rejected[session.RejectedFull].Load(),
		TooLarge: from.Rejected[session.RejectedLarge].Load(),
		Quota:    from.Rejected[session.RejectedQuota].Load(),
		Failed:   from.Rejected[session.RejectedFailed].Load(),
	}
	s.Sessions = metrics.Sessions{
		Connected: int64(now.Connected), Subscriptions: int64(now.Subscriptions), Shared: int64(now.Groups),
		Sending: int64(now.Sending), Receiving: int64(now.Receiving), Behind: int64(now.Behind), FurthestBehind: now.Furthest,
		CatchUps: from.Lagging.Load(), MissedOffsets: from.Dropped[session.DropLost].Load(),
	}
}

func fillTraffic(to *metrics.Traffic, from *session.Traffic) {
	for qos := range to.Messages {
		to.Messages[qos], to.Payload[qos] = from.Messages[qos].Load(), from.Bytes[qos].Load()
	}
	ack := func(t mqtt.Type) int64 { return from.Acks[t-mqtt.PUBACK].Load() }
	to.Acks = metrics.Acks{Puback: ack(mqtt.PUBACK), Pubrec: ack(mqtt.PUBREC), Pubrel: ack(mqtt.PUBREL), Pubcomp: ack(mqtt.PUBCOMP)}
}

func fillEvents(to *metrics.Events, from *events.Stats) {
	to.Stored, to.Full, to.Refused = from.Stored.Load(), from.Full.Load(), from.Refused.Load()
}

func fillStore(s *metrics.Snapshot, from local.Stats) {
	s.Store = &metrics.Store{
		Append: metrics.Histogram(from.Appends), Sync: metrics.Histogram(from.Syncs), Batch: metrics.Histogram(from.Batches),
		WrittenBytes: from.Written, Waits: from.Waits,
		FirstOffset: from.First, NextOffset: from.Next,
		Segments: int64(from.Segments), Bytes: from.LogBytes, Oldest: from.Oldest,
		DroppedSegments: from.Dropped, DroppedBytes: from.DroppedBytes,
		DiskFree: from.DiskFree, DiskReserve: from.DiskReserve,
		Full:     from.Full,
		Retained: from.Retained, RetainedBytes: from.RetainedBytes,
	}
}

func fillRocketMQ(to *metrics.RocketMQ, from *rocketmq.Stats) {
	to.Appended, to.Sends, to.Resent = from.Appended.Load(), from.Sends.Load(), from.Resent.Load()
	to.Refused, to.DroppedQoS0 = from.Refused.Load(), from.DroppedQoS0.Load()
	to.NotOK, to.Moved, to.LMQLeftOut, to.LMQNotMoved = from.NotOK.Load(), from.Moved.Load(), from.LMQLeftOut.Load(), from.LMQNotMoved.Load()
	to.Read, to.Duplicates = from.Read.Load(), from.Duplicates.Load()
	to.Foreign, to.Unreadable = from.Foreign.Load(), from.Unreadable.Load()
	to.WentBack, to.Expired, to.Paused = from.WentBack.Load(), from.Expired.Load(), from.Paused.Load()
	to.Skipped, to.Shared, to.IndexHalved = from.Skipped.Load(), from.Shared.Load(), from.IndexHalved.Load()
	to.RouteErrors, to.BrokersFailed = from.RouteErrors.Load(), from.BrokersFailed.Load()
	to.TopicsCreated, to.TopicsDenied = from.TopicsCreated.Load(), from.TopicsRefused.Load()
	to.NotRetained, to.RetainedUnread = from.NotRetained.Load(), from.RetainedUnread.Load()
	to.NotRegistered, to.Forgotten = from.NotRegistered.Load(), from.Forgotten.Load()
}

func fillChangelog(to *metrics.Changelog, from *changelog.Stats) {
	to.Read, to.Void, to.Unreadable = from.Read.Load(), from.Void.Load(), from.Unreadable.Load()
	to.Appended, to.Refused, to.WillsDropped = from.Appended.Load(), from.Refused.Load(), from.WillsDropped.Load()
	to.Taken, to.Waited = from.Taken.Load(), from.Waited.Load()
	to.Fences, to.Fenced = from.Fences.Load(), from.Fenced.Load()
}

// fillRetained fills in nothing when from is nil: no retained messages are kept.
func fillRetained(to *metrics.Retained, from *retained.Stats) {
	if from == nil {
		return
	}
	to.Messages, to.Bytes = from.Messages.Load(), from.Bytes.Load()
	to.Read, to.Older, to.Unreadable = from.Read.Load(), from.Older.Load(), from.Unreadable.Load()
	to.Late, to.Renewed = from.Late.Load(), from.Renewed.Load()
}

func fillClient(to *metrics.RocketMQ, from remoting.Stats) {
	to.Lost, to.NoRoom, to.TimedOut = int64(from.Lost), int64(from.Refused), int64(from.Expired)
	to.Stray, to.Requested = int64(from.Stray), int64(from.Foreign)
}
