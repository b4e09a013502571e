package changelog

import "github.com/rocketmqtt/rocketmqtt/internal/store"

// vector is what beats say in one queue of how far all sessions are that keep up (store.Checkpoint). It counts on the changes that were made before it: a
// message that is under way is in one of them. So it is not said before they have come back. Changelog.mu guards it.
type vector struct {
	said  []store.Position // what beats may say
	next  []store.Position // what they may when the changes of the turn before have come back; nil: nothing
	later []store.Position // what comes after that; nil: nothing

	turn int    // of the changes that are made now
	open [2]int // changes that have not come back, by turn
}

// set has beats say v, which is not changed any more, as soon as they may.
func (v *vector) set(p []store.Position) {
	v.later = p
	v.advance()
}

// made is told of a change, and returns its turn.
func (v *vector) made() (turn int) {
	v.open[v.turn]++
	return v.turn
}

// back is told that a change of a turn has come back, or never will.
func (v *vector) back(turn int) {
	v.open[turn]--
	v.advance()
}

func (v *vector) advance() {
	for {
		if v.next != nil && v.open[1-v.turn] == 0 {
			v.said, v.next = v.next, nil
		}
		if v.next != nil || v.later == nil {
			return
		}
		v.next, v.later = v.later, nil
		v.turn = 1 - v.turn // nothing of that is open: the one before it was said
	}
}
