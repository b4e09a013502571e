package differential

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// outcome is what one step made the clients get from both brokers, and what is known of the script by then.
type outcome struct {
	*model

	i               int // of the step
	step            step
	mosquitto, ours [clients][]packet
}

// difference is one, in packets of one kind.
type difference struct{ kind, text string }

func texts(all []difference) string {
	var b strings.Builder
	for _, d := range all {
		b.WriteString(d.text + "\n")
	}
	return b.String()
}

// compare says what differs. Compared are the packets of each connection: types, reason codes, session present, topic,
// payload, QoS, DUP, RETAIN, properties, subscription identifiers, and that it ends; and their order among those of one
// type, of PUBLISH by topic and QoS (as published and as delivered) [MQTT-4.6.0-1 to -6]. Not compared: what a broker
// chooses, see packet, and the order between topics and between QoS.
//
// used counts the rules that changed something; it may be nil.
func compare(o outcome, used map[string]int) (differences []difference) {
	for _, r := range rules() {
		if used == nil {
			r.apply(&o)
			continue
		}
		before := o.clone()
		if r.apply(&o); !reflect.DeepEqual(before, o) {
			used[r.name]++
		}
	}
	for c := range clients {
		theirs, ours := ordered(o.mosquitto[c]), ordered(o.ours[c])
		orders := maps.Clone(theirs)
		maps.Copy(orders, ours)
		for _, order := range slices.Sorted(maps.Keys(orders)) {
			if !slices.Equal(theirs[order], ours[order]) {
				differences = append(differences, difference{
					kind: strings.Fields(order)[1],
					text: fmt.Sprintf("c%d, connection %s:\n\tmosquitto  %q\n\trocketmqtt %q", c, order, theirs[order], ours[order]),
				})
			}
		}
		if conn, ok := beginsWithConnack(o.ours[c]); !ok {
			differences = append(differences, difference{"first packet", fmt.Sprintf("c%d, connection %d: rocketmqtt sent something before CONNACK [MQTT-3.2.0-1]", c, conn)})
		}
	}
	return differences
}

func ordered(all []packet) map[string][]string {
	by := map[string][]string{}
	for i := range all {
		by[all[i].order] = append(by[all[i].order], all[i].String())
	}
	return by
}

// beginsWithConnack reports whether no CONNACK of a connection comes after another packet of it.
func beginsWithConnack(all []packet) (conn int, ok bool) {
	seen := map[int]bool{}
	for i := range all {
		if all[i].kind == mqtt.CONNACK && seen[all[i].conn] {
			return all[i].conn, false
		}
		seen[all[i].conn] = true
	}
	return 0, true
}
