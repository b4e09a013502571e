package view

import (
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func groupsAre(t *testing.T, db *pebble.DB, want ...store.Group) {
	t.Helper()
	if got, err := Groups(db); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("groups, error %v:\n got %+v\nwant %+v", err, got, want)
	}
}

// A session that is replaced leaves the groups that it is not in any more and joins those that it was not in; one that it stays in goes on from where it is, even
// when it has no other member.
func TestReplaceKeepsGroups(t *testing.T) {
	db := open(t)
	write(
		t, db, 1,
		begins("c"), joins("c", "$share/alone/a", 5), joins("c", "$share/left/a", 5), joins("c", "$share/ends/a", 5),
		begins("d"), joins("d", "$share/left/a", 6), joins("d", "$share/new/a", 6),
		step2(store.Send2, 1, 40, "$share/alone/a"), passes("$share/alone/a", 50, 30, 40),
	)
	replace(t, db, 2, "c", dumpOf(t, begins("c"), joins("c", "$share/alone/a", 9), joins("c", "$share/new/a", 9), joins("c", "$share/own/a", 9)))
	groupsAre(
		t, db,
		store.Group{Filter: "$share/new/a", Members: []string{"c", "d"}, Founded: at(6), Cursor: at(6)},
		store.Group{Filter: "$share/own/a", Members: []string{"c"}, Founded: at(9), Cursor: at(9)},
		store.Group{Filter: "$share/left/a", Members: []string{"d"}, Founded: at(5), Cursor: at(5)},
		store.Group{
			Filter: "$share/alone/a", Members: []string{"c"}, Founded: at(5), Cursor: at(50), Outstanding: append(at(30), at(40)...), Exact: at(40),
		},
	)
}

// A QoS 2 message of a group whose delivery has begun stays with its session, which is in the view by a dump alone [MQTT-4.8.2-4]; and what the group has passed is
// not noted again.
func TestReplaceKeepsDeliveriesOfGroups(t *testing.T) {
	changes := []store.Change{
		begins("c"), joins("c", "$share/g/a", 5), step2(store.Send2, 1, 40, "$share/g/a"), step2(store.Send2, 2, 70, "$share/g/a"),
		step2(store.Send2, 3, 70, "$share/over"),
	}
	group := store.Group{Filter: "$share/g/a", Members: []string{"c"}, Founded: at(5), Cursor: at(5), Exact: append(at(40), at(70)...)}
	empty := open(t)
	replace(t, empty, 1, "c", dumpOf(t, changes...))
	groupsAre(t, empty, group)

	passed := open(t)
	write(t, passed, 1, append(changes, passes("$share/g/a", 50))...)
	group.Cursor, group.Exact = at(50), at(70)
	replace(t, passed, 2, "c", dumpOf(t, changes...))
	groupsAre(t, passed, group)
}

// passes is progress of a group that was founded at 5.
func passes(filter string, to int64, outstanding ...int64) store.Change {
	c := store.Change{Kind: store.GroupProgress, Subscription: store.Subscription{Filter: filter, Start: at(5)}, Cursor: at(to)}
	for _, offset := range outstanding {
		c.Outstanding = append(c.Outstanding, at(offset)...)
	}
	return c
}
