package view

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// A session that was dumped and put into another view is the same there, whatever its changes were; and so are the lists that it is in.
func TestDumpAndReplace(t *testing.T) {
	much, listed := 0, map[string]int{}
	for seed := range uint64(30) {
		from, to := open(t), open(t)
		script := storetest.Script{Rng: rand.New(rand.NewPCG(seed, 2)), Now: func() time.Time { return time.UnixMilli(1 << 40) }, Changelog: true}
		for i := range int64(150) {
			advance(t, from, i, &script)
			much += copied(t, from, to, i, fmt.Sprint("client-", script.Rng.IntN(6)))
		}
		for i := range 6 {
			copied(t, from, to, 150, fmt.Sprint("client-", i))
		}
		sameLists(t, from, to, listed)
	}
	if much < 20 || listed["expired"] < 10 || listed["wills due"] < 3 || listed["members"] < 10 {
		t.Errorf("%d sessions had much to them, listed were %v", much, listed)
	}
}

// copied replaces a client's session in to by that in from; it returns 1 when there is much to it.
func copied(t *testing.T, from, to *pebble.DB, i int64, client string) int {
	t.Helper()
	first := dump(t, from, client)
	replace(t, to, i, client, first)
	if again := dump(t, to, client); !bytes.Equal(again, first) {
		t.Fatalf("step %d: the dump %x became %x", i, first, again)
	}
	want, _, err := Load(from, client)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Load(to, client)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("step %d: %+v became %+v, %v", i, want, got, err)
	}
	if want != nil && len(want.Inflight) > 2 && len(want.Received)+len(want.Pending) > 0 {
		return 1
	}
	return 0
}

// advance applies a step of the script, in runs that end now and then.
func advance(t *testing.T, db *pebble.DB, i int64, script *storetest.Script) {
	t.Helper()
	x := Begin(db)
	defer x.Close()
	var err error
	r := &Record{Offset: i, Time: i, Run: 1 + i/50*50}
	switch s := script.Next(); {
	case i%50 == 0:
		err = x.EndRunsBelow(r)
	case s.Change != nil:
		err = x.Change(r, s.Change)
	case s.Message.Will:
		err = x.WillDone(s.Message.Client)
	case s.Message.Client != "":
		err = x.Received(s.Message.Client, s.Message.PacketID)
	}
	if err == nil {
		err = x.Apply()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sameLists compares what is listed of all sessions, and counts it.
func sameLists(t *testing.T, from, to *pebble.DB, count map[string]int) {
	t.Helper()
	now := time.UnixMilli(1 << 41)
	for name, list := range map[string]func(pebble.Reader, time.Time, int) ([]string, error){"expired": Expired, "wills due": WillsDue} {
		want, err := list(from, now, 1000)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := list(to, now, 1000); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v became %v, %v", name, want, got, err)
		}
		count[name] += len(want)
	}
	want, got := members(t, from), members(t, to)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("members: %v became %v", want, got)
	}
	count["members"] += len(want)
}

// members are those of all groups.
func members(t *testing.T, db *pebble.DB) map[string][]string {
	t.Helper()
	groups, err := Groups(db)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, g := range groups {
		out[g.Filter] = g.Members
	}
	return out
}
