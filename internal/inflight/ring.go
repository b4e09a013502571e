package inflight

import "github.com/rocketmqtt/rocketmqtt/internal/mqtt"

// Ring holds the acknowledgements owed to a client, in the order in which its packets arrived, so that they are sent
// in that order [MQTT-4.6.0-2] [MQTT-4.6.0-3] however the store completes them. The zero value is empty.
type Ring struct {
	slots []owed
	head  uint64 // token of the oldest
	tail  uint64 // token that is given next
}

type owed struct {
	id   uint16
	code mqtt.ReasonCode
	done bool
}

// Len is the number of acknowledgements that were not yet taken.
func (r *Ring) Len() int { return int(r.tail - r.head) }

// Push appends the acknowledgement of packet id and returns the token to complete it with. The caller keeps Len bounded.
func (r *Ring) Push(id uint16) uint64 {
	if r.Len() == len(r.slots) {
		r.grow()
	}
	token := r.tail
	r.tail++
	*r.at(token) = owed{id: id}
	return token
}

// Complete says how token's packet ended. Each token is completed once.
func (r *Ring) Complete(token uint64, code mqtt.ReasonCode) {
	if token < r.head || token >= r.tail {
		return
	}
	o := r.at(token)
	o.code, o.done = code, true
}

// Take removes the oldest acknowledgement if it is complete.
func (r *Ring) Take() (id uint16, code mqtt.ReasonCode, ok bool) {
	if r.head == r.tail || !r.at(r.head).done {
		return 0, 0, false
	}
	o := *r.at(r.head)
	r.head++
	return o.id, o.code, true
}

// Has reports whether an acknowledgement of packet id is owed.
func (r *Ring) Has(id uint16) bool {
	for t := r.head; t < r.tail; t++ {
		if r.at(t).id == id {
			return true
		}
	}
	return false
}

func (r *Ring) at(token uint64) *owed { return &r.slots[token&uint64(len(r.slots)-1)] }

func (r *Ring) grow() {
	bigger := Ring{slots: make([]owed, max(4, 2*len(r.slots))), head: r.head, tail: r.tail}
	for t := r.head; t < r.tail; t++ {
		*bigger.at(t) = *r.at(t)
	}
	*r = bigger
}
