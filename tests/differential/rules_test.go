package differential

import (
	"cmp"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// What mosquitto 2.0.11 does wrong so that nothing after it can be compared is not in the scripts:
//
//   - A subscription that replaces one keeps the older one's No Local, against [MQTT-3.8.4-3]: noLocal is
//     always the same for a client and filter.
//   - A session of MQTT 5 that began with Clean Start and has an expiry does not survive a restart, nor do shared
//     subscriptions, against (5.0, 4.1.0); and it forgets that PUBREC came, and sends PUBLISH again, against
//     [MQTT-4.3.3-6]: model.survives, generator.restart.
//
// Nor is what rocketmqtt does otherwise, as it may, so that nothing after it can be compared:
//
//   - What is taken back from a shared subscription (see below) is sent with the QoS that the subscription has by then: the QoS
//     of a shared filter is always the same.

// rule is one difference that is allowed: apply makes both sides the same where the reason holds, and nowhere else.
type rule struct {
	name  string
	why   string
	apply func(*outcome)
}

func rules() []rule {
	return []rule{
		{
			"copies for overlapping subscriptions",
			"mosquitto sends a message once for each subscription that matches, rocketmqtt once with the highest QoS and " +
				"all identifiers; a server may do either [MQTT-3.3.4-2] [MQTT-3.3.4-3] (5.0, 3.3.4), 3.1.1: 3.3.5",
			mergeCopies,
		},
		{
			"identifiers of copies that are gone",
			"the same, later: of the copies those of QoS 0 were sent when it happened, or dropped, and only the others are sent to " +
				"a session that comes back; rocketmqtt sends one message, with all identifiers [MQTT-3.3.4-3]",
			goneCopies,
		},
		{
			"identifiers of what is sent again",
			"when subscriptions changed since: rocketmqtt sends the identifiers of those that there are, mosquitto of those " +
				"that there were; the specification asks for the same packet id [MQTT-4.4.0-1], and says nothing of identifiers",
			resentIDs,
		},
		{
			"no matching subscribers",
			"mosquitto says so in PUBACK with 0x10; a server may use 0 instead (5.0, 3.4.2.1)",
			noSubscribers,
		},
		{
			"PUBREL twice",
			"rocketmqtt says in PUBCOMP that the packet id is not known, with 0x92 (5.0, 3.7.2.1: not an error during recovery), mosquitto 0",
			pubrelTwice,
		},
		{
			"DISCONNECT of a broker that stops",
			"rocketmqtt sends 0x8B before it closes, mosquitto only closes; a server may do either (5.0, 3.14.2.1, 4.13.2)",
			func(o *outcome) { toldWhy(o, restart, mqtt.ServerShuttingDown) },
		},
		{
			"DISCONNECT of a session that is taken over",
			"rocketmqtt sends 0x8E before it closes, mosquitto only closes, against (5.0, 3.1.4) [MQTT-3.1.4-3]",
			func(o *outcome) { toldWhy(o, connect, mqtt.SessionTakenOver) },
		},
		{
			"DUP after a dropped connection",
			"what is published just after a drop may have been sent to the dead connection before the broker noticed its end; then " +
				"the next attempt is the second one and has DUP [MQTT-3.3.1-1]",
			sentIntoTheVoid,
		},
		{
			"order between shared subscriptions",
			"a client with several that match gets a message from each; these are several deliveries, and order is asked for on " +
				"subscriptions that are not shared [MQTT-4.6.0-6]",
			betweenShares,
		},
		{
			"QoS 0 of a shared subscription",
			"while no member is connected rocketmqtt keeps the messages of QoS 1 and 2 for the group, whatever QoS the member that " +
				"comes back will get them at; mosquitto drops what is QoS 0 for it; a server may do either (5.0, 4.1.0, Session State)",
			keptForGroup,
		},
		{
			"DUP of a shared subscription",
			"rocketmqtt takes back what a member has not acknowledged at QoS 1 when its connection ends, to give it to any member " +
				"as a new message; mosquitto waits for that member and sends it again; a server may do either (5.0, 4.8.2)",
			takenBack,
		},
	}
}

// each calls f for every packet of a kind, which it may change.
func each(all *[clients][]packet, kind mqtt.Type, f func(c int, p *packet)) {
	for c := range all {
		for i := range all[c] {
			if p := &all[c][i]; p.kind == kind {
				f(c, p)
			}
		}
	}
}

// same finds mosquitto's packet for one of ours; nil: none, or several.
func (o *outcome) same(c int, p *packet) (found *packet) {
	for i := range o.mosquitto[c] {
		if q := &o.mosquitto[c][i]; q.kind == p.kind && q.conn == p.conn && q.about == p.about {
			if found != nil {
				return nil
			}
			found = q
		}
	}
	return found
}

func mergeCopies(o *outcome) {
	for c := range clients {
		if c == sharer { // several shared subscriptions are several deliveries, at both
			continue
		}
		o.mosquitto[c] = merged(o.mosquitto[c])
	}
}

// merged keeps of each message the first of its copies with the highest QoS, and one PUBREL.
func merged(all []packet) (kept []packet) {
	for _, p := range all {
		if p.kind != mqtt.PUBLISH && p.kind != mqtt.PUBREL {
			kept = append(kept, p)
			continue
		}
		i := slices.IndexFunc(kept, func(q packet) bool { return q.kind == p.kind && q.conn == p.conn && q.about == p.about })
		if i < 0 {
			kept = append(kept, p)
			continue
		}
		ids := append(slices.Clone(kept[i].ids), p.ids...)
		slices.Sort(ids)
		ids = slices.Compact(ids)
		if p.qos > kept[i].qos {
			kept = append(slices.Delete(kept, i, i+1), p)
			i = len(kept) - 1
		}
		kept[i].ids = ids
	}
	return kept
}

func goneCopies(o *outcome) {
	each(&o.ours, mqtt.PUBLISH, func(c int, p *packet) {
		q := o.same(c, p)
		if q == nil || o.sentAt[p.about] == o.i {
			return
		}
		for _, sub := range o.sessions[c].matching(o.messages[p.about].topic) {
			if sub.QoS == 0 && !slices.Contains(q.ids, sub.id) {
				p.ids = slices.DeleteFunc(slices.Clone(p.ids), func(id uint32) bool { return id == sub.id })
			}
		}
	})
}

func resentIDs(o *outcome) {
	each(&o.ours, mqtt.PUBLISH, func(c int, p *packet) {
		if q := o.same(c, p); q != nil && p.dup && q.dup && o.sessions[c].changed > o.sentAt[p.about] {
			p.ids = q.ids
		}
	})
}

func noSubscribers(o *outcome) {
	each(&o.mosquitto, mqtt.PUBACK, func(_ int, p *packet) {
		if p.code == mqtt.NoMatchingSubscribers {
			p.code = mqtt.Success
		}
	})
}

func pubrelTwice(o *outcome) {
	if o.step.op != interrupt || o.step.lost != lostPubcomp {
		return
	}
	each(&o.ours, mqtt.PUBCOMP, func(c int, p *packet) {
		if q := o.same(c, p); q != nil && p.code == mqtt.PacketIDNotFound && q.code == mqtt.Success {
			p.code = q.code
		}
	})
}

// toldWhy demands of rocketmqtt a DISCONNECT with this code on every connection of MQTT 5 that the step ends.
func toldWhy(o *outcome, op operation, code mqtt.ReasonCode) {
	if o.step.op != op {
		return
	}
	for c := range clients {
		for _, p := range o.mosquitto[c] {
			told := packet{conn: p.conn, kind: mqtt.DISCONNECT, code: code}
			if p.kind == closed && o.sessions[c].version == mqtt.V5 && o.same(c, &told) == nil {
				told.order = told.orderOn(p.conn)
				o.mosquitto[c] = append(o.mosquitto[c], told)
			}
		}
	}
}

func sentIntoTheVoid(o *outcome) {
	each(&o.ours, mqtt.PUBLISH, func(c int, p *packet) {
		back := o.step.op == connect && o.step.client == c
		if q := o.same(c, p); q != nil && back && !q.dup && o.sentAt[p.about] > o.sessions[c].dropped {
			p.dup = false
		}
	})
}

// betweenShares sorts what a topic sends to a client through several shared subscriptions.
func betweenShares(o *outcome) {
	for _, all := range [][]packet{o.mosquitto[sharer], o.ours[sharer]} {
		places := map[string][]int{}
		for i := range all {
			if p := &all[i]; p.kind == mqtt.PUBLISH || p.kind == mqtt.PUBREL {
				places[p.order] = append(places[p.order], i)
			}
		}
		for _, at := range places {
			o.sortShares(all, at)
		}
	}
}

// sortShares sorts the packets at these places, which have one topic, when several subscriptions match or did.
func (o *outcome) sortShares(all []packet, at []int) {
	seen := map[int]bool{}
	several := false
	var those []packet
	for _, i := range at {
		p := all[i]
		several = several || seen[p.about] || len(o.sessions[sharer].matching(o.messages[p.about].topic)) > 1
		seen[p.about] = true
		those = append(those, p)
	}
	if !several {
		return
	}
	slices.SortFunc(those, func(a, b packet) int {
		return cmp.Or(cmp.Compare(a.about, b.about), cmp.Compare(a.String(), b.String()))
	})
	for k, i := range at {
		all[i] = those[k]
	}
}

func keptForGroup(o *outcome) {
	o.ours[sharer] = slices.DeleteFunc(o.ours[sharer], func(p packet) bool {
		return p.kind == mqtt.PUBLISH && p.qos == 0 && o.messages[p.about].qos > 0 && o.sentAt[p.about] < o.i
	})
}

func takenBack(o *outcome) {
	for _, all := range [][]packet{o.mosquitto[sharer], o.ours[sharer]} {
		for i := range all {
			if p := &all[i]; p.kind == mqtt.PUBLISH && p.qos == 1 && o.sentAt[p.about] < o.i {
				p.dup = false
			}
		}
	}
}
