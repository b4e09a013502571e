package storetest

import (
	"reflect"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func testGroups(f *fixture) {
	const filter = "$share/g/a/#"
	share := func(id, filter string, start int64) {
		f.change(store.Change{Kind: store.Subscribe, Client: id, Subscription: store.Subscription{Filter: filter, QoS: 1, Start: atAll(start), Since: 1000 + start}})
	}
	for _, id := range []string{"x", "y"} {
		f.change(store.Change{Kind: store.Connect, Client: id, Expiry: 100})
	}
	share("x", filter, 5)
	share("y", filter, 9)
	share("x", filter, 11)
	share("x", "$share/h/a/#", 7)
	want := []store.Group{
		{Filter: filter, Members: []string{"x", "y"}, Founded: atAll(5), Since: 1005, Cursor: atAll(5)},
		{Filter: "$share/h/a/#", Members: []string{"x"}, Founded: atAll(7), Since: 1007, Cursor: atAll(7)},
	}
	check := func(step string) {
		f.Helper()
		if got := f.groups(); !reflect.DeepEqual(got, NormalGroups(want)) {
			f.Errorf("%s:\n got %+v\nwant %+v", step, got, NormalGroups(want))
		}
	}
	check("subscribe")
	for _, offset := range []int64{20, 25, 30} {
		in := inflight(uint16(offset), 2, offset)
		in.Group = filter
		f.change(store.Change{Kind: store.Send2, Client: "x", Inflight: []store.Inflight{in}})
	}
	f.change(store.Change{Kind: store.Done2, Client: "x", Inflight: []store.Inflight{{PacketID: 20, Group: filter}}})
	want[0].Exact = []store.Position{at(20), at(25), at(30)}
	check("send2 and done2")
	if s := f.load("x"); s.Sent2 != nil || len(s.Inflight) != 2 || s.Inflight[0].Group != filter {
		f.Errorf("session of a member: %+v", s)
	}
	progress := store.Change{
		Kind: store.GroupProgress, Subscription: store.Subscription{Filter: filter, Start: atAll(5)},
		Cursor: atAll(30), Outstanding: []store.Position{at(25), at(28)},
	}
	f.change(progress)
	want[0].Cursor, want[0].Outstanding, want[0].Exact = atAll(30), []store.Position{at(25), at(28)}, []store.Position{at(25), at(30)}
	check("progress")
	f.reopen()
	check("open again")
	f.change(store.Change{Kind: store.Remove, Client: "x"})
	want = want[:1]
	want[0].Members = []string{"y"}
	check("a member is removed")
	f.change(store.Change{Kind: store.Unsubscribe, Client: "y", Subscription: store.Subscription{Filter: filter}})
	want = nil
	check("the last member unsubscribes")
	share("y", filter, 70)
	want = []store.Group{{Filter: filter, Members: []string{"y"}, Founded: atAll(70), Since: 1070, Cursor: atAll(70)}}
	check("founded anew")
	f.change(progress)
	check("progress of the group that was there before")
	f.change(store.Change{Kind: store.Connect, Client: "y", Clean: true})
	want = nil
	check("a clean connect of the last member")
}
