package peer

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	user, system, err := parseStat([]byte("123 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 77 88 5 6 20 0 9 0 1 2 3"))
	if err != nil || user != 77 || system != 88 {
		t.Error(user, system, err)
	}
	if _, _, err := parseStat([]byte("123 (a) S 1")); err == nil {
		t.Error("accepted")
	}
}

func TestParseStatus(t *testing.T) {
	b := []byte("Name:\tx\nVmHWM:\t    20 kB\nVmRSS:\t    10 kB\n")
	if n, err := parseStatus(b, "VmRSS:"); n != 10<<10 || err != nil {
		t.Error(n, err)
	}
	if _, err := parseStatus(b, "VmSwap:"); err == nil {
		t.Error("found what is not there")
	}
}

func TestParseBusy(t *testing.T) {
	if d, err := parseBusy([]byte("cpu  1 2 4 1000 1000 8 16 32 0 0\ncpu0 1\n")); d != 63*tick || err != nil {
		t.Error(d, err)
	}
	if _, err := parseBusy(nil); err == nil {
		t.Error("accepted")
	}
}

// What this process uses is seen, and is part of what the machine uses.
func TestReadsThisProcess(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	used := time.Duration(0)
	for deadline := time.Now().Add(time.Minute); used < 5*tick && time.Now().Before(deadline); {
		now, err := CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = now - before
	}
	now, err := Busy()
	if err != nil || used < 5*tick || now-all < used-4*tick {
		t.Errorf("this process used %s, the machine %s, %v", used, now-all, err)
	}
	rss, peak, err := Memory(os.Getpid())
	if err != nil || rss < 1<<20 || peak < rss/2 {
		t.Error(rss, peak, err)
	}
}
