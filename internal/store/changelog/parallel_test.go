package changelog

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Queues are read at the same time, and a group has members in all of them: none is forgotten.
func TestQueuesAreReadAtTheSameTime(t *testing.T) {
	w := newWorld(t, 1)
	n := w.nodes[0]
	for i := range 150 {
		client := fmt.Sprintf("c%d", i)
		w.owns(n, client)
		filter := fmt.Sprintf("$share/g%d/t", i%3)
		n.change(subscribe(client, filter))
		w.settle()
		if i%5 == 0 {
			n.change(store.Change{Kind: store.Unsubscribe, Client: client, Subscription: store.Subscription{Filter: filter}})
			w.settle()
		}
	}
	want, err := n.c.Groups()
	if err != nil {
		t.Fatal(err)
	}
	late := w.open(vfs.NewMem())
	var all sync.WaitGroup
	for q := range worldQueues {
		all.Go(func() {
			const most = 50 // in one transaction
			for i := 0; i < len(w.log[q]); i += most {
				end := min(i+most, len(w.log[q]))
				if err := late.c.Read(q, w.log[q][i:end], int64(end), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, err := late.c.Groups()
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].Founded, got[i].Cursor, got[i].Since = want[i].Founded, want[i].Cursor, want[i].Since // of whoever was read first
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("groups %+v\nwant %+v", got, want)
	}
	for _, g := range want {
		for _, client := range g.Members {
			n.change(store.Change{Kind: store.Unsubscribe, Client: client, Subscription: store.Subscription{Filter: g.Filter}})
		}
	}
	w.settle()
	for _, n := range w.nodes { // members are counted right: the last one ends the group
		if got, err := n.c.Groups(); err != nil || len(got) != 0 {
			t.Errorf("%d groups are left, %v", len(got), err)
		}
	}
}
