package changelog

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkReplay is a node that starts: how long it reads, what memory that takes at most, and what its view takes on disk. ROCKETMQTT_REPLAY=1000000 says how many
// sessions there are.
func BenchmarkReplay(b *testing.B) {
	sessions := 20_000
	if s := os.Getenv("ROCKETMQTT_REPLAY"); s != "" {
		var err error
		if sessions, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	log := newFileLog(b, 0)
	log.fill(sessions)
	b.Logf("the log has %d MB", log.close()>>20)
	dir := filepath.Join(b.TempDir(), "view")
	b.Run("beats", func(b *testing.B) {
		idle := newFileLog(b, 0)
		idle.beats(3, sessions/12)
		idle.close()
		b.ResetTimer()
		for range b.N {
			replayed(b, replay(b, idle, filepath.Join(b.TempDir(), "idle"), 0))
		}
	})
	b.Run("fresh", func(b *testing.B) {
		for range b.N {
			c := replay(b, log, dir, sessions)
			onDisk(b, c, dir, sessions)
			replayed(b, c)
		}
	})
	b.Run("restart", func(b *testing.B) {
		for range b.N {
			replayed(b, replay(b, log, dir, sessions))
		}
	})
	b.Run("often", func(b *testing.B) {
		for range b.N {
			often(b, log, dir)
		}
	})
	again := newFileLog(b, 1000)
	renewAll(b, log, dir, again)
	b.Run("renewed", func(b *testing.B) {
		for range b.N {
			replayed(b, replay(b, again, filepath.Join(b.TempDir(), "again"), sessions))
		}
	})
}

func open(b *testing.B, dir string, l Log, now time.Time) *Changelog {
	b.Helper()
	c, err := Open(Options{Dir: dir, Queues: replayQueues, Log: l, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// replay starts a node, and has it read all.
func replay(b *testing.B, log *fileLog, dir string, sessions int) *Changelog {
	b.Helper()
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // VmHWM begins anew
	base := memory(b, "VmRSS:")
	began, spent := time.Now(), processor(b)
	c := open(b, dir, log, time.UnixMilli(replayBegin))
	var all sync.WaitGroup
	for q := range replayQueues {
		all.Go(func() {
			if next, _ := c.Next(q); next < log.queues[q].first {
				if err := c.Rebuild(q, log.queues[q].first, log.queues[q].first); err != nil {
					b.Error(err)
				}
			}
			log.read(c, q, 32)
			if err := c.Begin(q); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	read, void := c.Stats().Read.Load(), c.Stats().Void.Load()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds(), "s")
	b.ReportMetric((processor(b) - spent).Seconds(), "cpu-s")
	b.ReportMetric(float64(read), "records")
	b.ReportMetric(float64(void), "void")
	b.ReportMetric(float64(memory(b, "VmHWM:")-base)/1024, "peak-MB")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MB")
	if n := c.Sessions(); n != int64(sessions) {
		b.Errorf("%d sessions, want %d", n, sessions)
	}
	return c
}

func replayed(b *testing.B, c *Changelog) {
	b.Helper()
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
}

// processor is what this process has used of processors.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory is a line of /proc/self/status, in KB.
func memory(b *testing.B, line string) (kb int) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("this system does not say what memory a process takes")
	}
	_, rest, _ := strings.Cut(string(status), line)
	_, _ = fmt.Sscan(rest, &kb)
	return kb
}

// onDisk tells what the view takes, as it is and when it was compacted.
func onDisk(b *testing.B, c *Changelog, dir string, sessions int) {
	b.Helper()
	if err := c.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size(b, dir))/float64(sessions), "disk-B/session")
	if err := c.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size(b, dir))/float64(sessions), "compacted-B/session")
}

func size(b *testing.B, dir string) (n int64) {
	b.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// often measures what is done again and again, when nothing is to be done.
func often(b *testing.B, log *fileLog, dir string) {
	b.Helper()
	c := replay(b, log, dir, int(sessionsIn(b, dir, log)))
	defer replayed(b, c)
	measure := func(name string, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, name+"-ms")
	}
	now := time.UnixMilli(replayBegin)
	measure("tick", func() error { c.Tick(); return nil })
	measure("expired", func() error { _, err := c.Expired(now, 1000); return err })
	measure("wills", func() error { _, err := c.WillsDue(now, 1000); return err })
	measure("flush", c.Flush)
	measure("groups", func() error { _, err := c.Groups(); return err })
	measure("renew", func() error { return renew(c, 36*time.Hour) })
}

func sessionsIn(b *testing.B, dir string, log *fileLog) int64 {
	b.Helper()
	c := open(b, dir, log, time.UnixMilli(replayBegin))
	defer replayed(b, c)
	return c.Sessions()
}

// renew is what a node does again and again.
func renew(c *Changelog, after time.Duration) error {
	for from := ""; ; {
		next, err := c.Renew(from, after)
		if err != nil || next == "" {
			return err
		}
		from = next
	}
}

// renewAll has a node write all sessions again.
func renewAll(b *testing.B, log *fileLog, dir string, to *fileLog) {
	b.Helper()
	c := open(b, dir, to, time.UnixMilli(replayBegin).Add(40*time.Hour))
	defer replayed(b, c)
	for q := range replayQueues {
		c.queues[q].begun = true
		to.queues[q].next = log.queues[q].next
		to.queues[q].first = log.queues[q].next
		to.queues[q].time = replayBegin + 40*3600_000
		for _, p := range c.queues[q].peers {
			p.fenced = true // the node that wrote them is dead
		}
	}
	began := time.Now()
	if err := renew(c, 36*time.Hour); err != nil {
		b.Fatal(err)
	}
	b.Logf("written again in %v: %d MB", time.Since(began).Round(time.Millisecond), to.close()>>20)
}
