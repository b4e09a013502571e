package store

// ShareUnits is into how many parts the messages of a shared subscription are divided among processes: a message belongs to one by its offset, whatever its
// queue is, so one busy topic feeds all of them (protocols 8).
const ShareUnits = 16

// Units is a set of them.
type Units uint16

// AllUnits is what a process holds that shares the store with no other.
const AllUnits Units = 1<<ShareUnits - 1

// UnitOf is the unit of the message at p, by its number.
func UnitOf(p Position) int { return int(uint64(p.Offset) % ShareUnits) }

// Has says whether unit u is one of them.
func (us Units) Has(u int) bool { return us>>u&1 != 0 }

// With returns the set with unit u.
func (us Units) With(u int) Units { return us | 1<<u }

// Share is this process's part in a shared subscription group that members of several processes are in.
type Share struct {
	Version int64      // grows with whatever becomes known of the group
	Born    int64      // which group of this name it is
	Founded []Position // Start of the subscription that founded it
	Since   int64      // and its Since
	Members int        // of this process, as the others know it

	Mine Units                  // what this process holds: it hands out the messages of these units, and of no others
	Give Units                  // of those, what another process is to have: to be given up
	Take Units                  // what nobody holds, and this process is to have
	At   [ShareUnits][]Position // where each of Mine stood when it was told last: what is below was dealt with, but for Redo; in queues that it does not name the unit begins at Since
	Redo []Position             // messages of Mine that were handed out, and are to be handed out again, to be told of since the version asked for

	Exact []Position // QoS 2 deliveries begun: they belong to a session for good [MQTT-4.8.2-4]
}

// ShareReport is what a process tells of its part in a group. Units that it does not hold are passed over wherever it names them.
type ShareReport struct {
	Filter string     // "$share/name/filter"
	Start  []Position // if the group is not there, it begins here, with Members
	Since  int64      // as Share
	Born   int64      // Share.Born of the group that the rest but Members and Take is about; 0: it is not known
	Seen   int64      // Share.Version that it knows

	Members     int          // connected ones, of this process
	Units       Units        // that it holds: they have dealt with what is below Cursor, and below Ahead, but for Outstanding
	Cursor      []Position   // as Session
	Ahead       []ShareAhead // of units that are ahead of Cursor
	Outstanding []Position   // handed out to members of this process and not acknowledged; of any unit
	Give        Units        // of Units, what it does not hand out any more
	Back        []Position   // handed out, not acknowledged, and given up
	Take        Units        // what it is to hold, if nobody does
}

// ShareAhead says how far one unit is.
type ShareAhead struct {
	Unit int
	At   []Position
}
