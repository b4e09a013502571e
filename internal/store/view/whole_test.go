package view

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func open(t *testing.T) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("view", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// A session that was dumped and put into another view is the same there, whatever its changes were.
func TestDumpAndReplace(t *testing.T) {
	from, to := open(t), open(t)
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		client := fmt.Sprintf("client%d", i)
		apply(t, from, dice, client, i)
		dump, err := Dump(from, client)
		if err != nil {
			t.Fatal(err)
		}
		x := Begin(to)
		if err := x.Replace(&Record{Offset: int64(i)}, client, dump); err != nil {
			t.Fatal(err)
		}
		if err := x.Apply(); err != nil {
			t.Fatal(err)
		}
		want, _, err := Load(from, client)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Load(to, client)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v became %+v, %v", want, got, err)
		}
	}
	sameLists(t, from, to)
}

// apply applies some changes of a client.
func apply(t *testing.T, db *pebble.DB, dice *rand.Rand, client string, i int) {
	t.Helper()
	x := Begin(db)
	at := func() []store.Position {
		return []store.Position{{Queue: store.Queue(dice.IntN(3)), Offset: dice.Int64N(1000)}}
	}
	in := func(qos byte) []store.Inflight {
		return []store.Inflight{{PacketID: uint16(1 + dice.IntN(5)), QoS: qos, At: at()[0]}}
	}
	changes := []store.Change{{Kind: store.Connect, Client: client, Principal: "p", Expiry: uint32(dice.IntN(100)), Will: &store.Will{Topic: "w"}}}
	for range dice.IntN(20) {
		c := store.Change{Client: client, PacketID: uint16(1 + dice.IntN(5)), Cursor: at(), Follows: dice.IntN(2) == 0, Inflight: in(2)}
		kinds := []store.ChangeKind{store.Subscribe, store.Unsubscribe, store.Release, store.Send2, store.Pubrec, store.Done2, store.Progress, store.Receive, store.Receipted, store.Checkpoint}
		c.Kind = kinds[dice.IntN(len(kinds))]
		c.Subscription = store.Subscription{Filter: []string{"a", "b/#", "$share/g/a"}[dice.IntN(3)], QoS: 1, Start: at()}
		c.Receipt = store.Receipt{PacketID: c.PacketID, Key: "key", At: at()[0]}
		if c.Kind == store.Progress {
			c.Inflight = in(1)
		}
		changes = append(changes, c)
	}
	if dice.IntN(2) == 0 {
		changes = append(changes, store.Change{Kind: store.Detach, Client: client, Expiry: 10, ExpiresAt: dice.Int64N(1000), Cursor: at(), SentUpTo: at(), WillAt: dice.Int64N(2)})
	}
	for j := range changes {
		if err := x.Change(&Record{Offset: int64(i*100 + j), Time: int64(i), Run: int64(1 + i)}, &changes[j]); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Apply(); err != nil {
		t.Fatal(err)
	}
}

// sameLists compares what is listed of all sessions.
func sameLists(t *testing.T, from, to *pebble.DB) {
	t.Helper()
	now := time.UnixMilli(1 << 40)
	for name, list := range map[string]func(pebble.Reader, time.Time, int) ([]string, error){"expired": Expired, "wills due": WillsDue} {
		want, err := list(from, now, 1000)
		if err != nil || len(want) == 0 {
			t.Fatalf("%s: %d, %v", name, len(want), err)
		}
		if got, err := list(to, now, 1000); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v became %v, %v", name, want, got, err)
		}
	}
	want, err := Groups(from)
	if err != nil || len(want) != 1 || len(want[0].Members) < 10 {
		t.Fatalf("groups: %+v, %v", want, err)
	}
	if got, err := Groups(to); err != nil || !reflect.DeepEqual(got[0].Members, want[0].Members) {
		t.Errorf("members: %v became %v, %v", want[0].Members, got[0].Members, err)
	}
}
