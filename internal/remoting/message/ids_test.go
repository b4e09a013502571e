package message

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

func newTestIDs(t testing.TB, addr string, now time.Time) (*IDs, *clock) {
	t.Helper()
	c := &clock{t: now}
	g, err := newIDs(netip.MustParseAddr(addr), 0x12345678, [4]byte{0xca, 0xfe, 0xba, 0xbe}, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

func TestIDLayout(t *testing.T) {
	zone := time.FixedZone("UTC+8", 8*3600) // the month begins at local midnight
	now := time.Date(2026, 3, 1, 0, 0, 1, 0, zone)
	cases := map[string]string{
		"10.0.0.7":        "0A000007" + "5678" + "CAFEBABE" + "000003E8" + "0001",
		"::ffff:10.0.0.7": "0A000007" + "5678" + "CAFEBABE" + "000003E8" + "0001",
		"2001:db8::1":     "20010DB8000000000000000000000001" + "5678" + "CAFEBABE" + "000003E8" + "0001",
	}
	for addr, want := range cases {
		g, _ := newTestIDs(t, addr, now)
		got := g.AppendNext([]byte("before "))
		if string(got) != "before "+want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
		if len(want) != g.Len() {
			t.Errorf("%s: Len %d, has %d", addr, g.Len(), len(want))
		}
	}
}

func TestIDsNeedAnAddress(t *testing.T) {
	if _, err := NewIDs(netip.Addr{}, 1); err == nil {
		t.Error("no address, no error")
	}
}

// Two starts with one address and one process id, as containers have them.
func TestIDsOfTwoStartsDiffer(t *testing.T) {
	addr := netip.MustParseAddr("172.17.0.2")
	a, err := NewIDs(addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewIDs(addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	x, y := string(a.AppendNext(nil)), string(b.AppendNext(nil))
	if x[:12] != y[:12] || x[12:20] == y[12:20] {
		t.Errorf("%s and %s: want the same address and process id, and another random part", x, y)
	}
}

// nearlyTime is MessageClientIDSetter.getNearlyTimeFromID.
func nearlyTime(t testing.TB, id string, now time.Time) time.Time {
	t.Helper()
	b, err := hex.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	at := 4 + 2 + 4
	if len(b) == 28 {
		at = 16 + 2 + 4
	}
	span := time.Duration(uint32(b[at])<<24|uint32(b[at+1])<<16|uint32(b[at+2])<<8|uint32(b[at+3])) * time.Millisecond
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, now.Location())
	if !first.Add(span).Before(now) {
		first = first.AddDate(0, -1, 0)
	}
	return first.Add(span)
}

func TestJavaFindsTheTimeOfAnID(t *testing.T) {
	for _, when := range []time.Time{
		time.Date(2026, 1, 31, 23, 59, 59, 999e6, time.UTC), // the longest since the beginning of a month
		time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
	} {
		g, _ := newTestIDs(t, "10.0.0.7", when)
		if got := nearlyTime(t, string(g.AppendNext(nil)), when.Add(time.Second)); !got.Equal(when) {
			t.Errorf("read as %v, made at %v", got, when)
		}
	}
}

func TestIDsCrossTheMonth(t *testing.T) {
	end := time.Date(2026, 1, 31, 23, 59, 59, 999e6, time.UTC)
	g, c := newTestIDs(t, "10.0.0.7", end)
	last := string(g.AppendNext(nil))
	c.set(end.Add(time.Millisecond))
	first := string(g.AppendNext(nil))
	if last[20:28] != "9FA523FF" || first[20:28] != "00000000" {
		t.Errorf("%s, then %s: want the last millisecond of January, and the first of February", last, first)
	}
}

// The clock goes back by a minute, and 200,000 ids are wanted in one millisecond.
func TestIDsAreUniqueWhateverTheClockDoes(t *testing.T) {
	start := time.Date(2026, 3, 5, 1, 2, 3, 0, time.UTC)
	g, c := newTestIDs(t, "10.0.0.7", start)
	seen := map[string]bool{}
	last := ""
	for i := range 200_000 {
		if i == 70_000 {
			c.set(start.Add(-time.Minute))
		}
		id := string(g.AppendNext(nil))
		if seen[id] || id[20:28] < last {
			t.Fatalf("id %d: %s came twice, or its time is before %s", i, id, last)
		}
		seen[id], last = true, id[20:28]
	}
	if got := nearlyTime(t, string(g.AppendNext(nil)), start.Add(time.Hour)); got.Sub(start) > 4*time.Millisecond {
		t.Errorf("200,000 ids moved time on by %v, want 3 ms", got.Sub(start))
	}
}

func TestIDsFromManyGoroutines(t *testing.T) {
	g, err := NewIDs(netip.MustParseAddr("10.0.0.7"), 1)
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 5000
	made := make([][]byte, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				made[w] = g.AppendNext(made[w])
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, ids := range made {
		for ; len(ids) > 0; ids = ids[g.Len():] {
			seen[string(ids[:g.Len()])] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d different ids, want %d", len(seen), workers*each)
	}
	for id := range seen {
		if strings.ToUpper(id) != id || len(id) != 32 {
			t.Fatalf("%q: want 32 characters of upper case hex", id)
		}
	}
}
