package throttle

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newTest returns a Logger with a period of a second, and what it writes: no time, so that lines can be compared.
func newTest(level slog.Level) (*Logger, *bytes.Buffer) {
	var out bytes.Buffer
	h := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return New(slog.New(h), time.Second, time.Now), &out
}

// taken returns what was written since the last call.
func taken(out *bytes.Buffer) string {
	defer out.Reset()
	return out.String()
}

func TestOneLineAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(slog.LevelInfo)
		for range 5 {
			l.Warn("much", "n", 1)
			l.Error("other")
		}
		if got, want := taken(out), "level=WARN msg=much n=1\nlevel=ERROR msg=other\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		<-time.After(time.Second - time.Nanosecond)
		l.Warn("much", "n", 2)
		if got := taken(out); got != "" {
			t.Errorf("too early: %q", got)
		}
		<-time.After(time.Nanosecond)
		l.Warn("much", "n", 3)
		if got, want := taken(out), "level=WARN msg=much n=3 similar=5\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		<-time.After(time.Minute)
		l.Info("much", "n", 4)
		if got, want := taken(out), "level=INFO msg=much n=4\n"; got != want {
			t.Errorf("told twice: %q, want %q", got, want)
		}
	})
}

func TestDebugLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(slog.LevelDebug)
		for range 2 {
			for range debugLines + 7 {
				l.Debug("detail")
			}
			if n := strings.Count(taken(out), "\n"); n != debugLines {
				t.Errorf("%d lines, want %d", n, debugLines)
			}
			<-time.After(time.Second)
		}
		l.Debug("detail")
		if got, want := taken(out), "level=DEBUG msg=detail similar=7\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// What is not written for its level is not counted as kept back.
func TestLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(slog.LevelInfo)
		for range 3 {
			l.Debug("same")
		}
		l.Info("same")
		if got, want := taken(out), "level=INFO msg=same\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestLongValues(t *testing.T) {
	for _, tt := range []struct {
		name string
		arg  any
		want string // how it ends
	}{
		{"short", strings.Repeat("x", longest), "=" + strings.Repeat("x", longest)},
		{"long", strings.Repeat("x", 65535), strings.Repeat("x", longest) + "... (65535 bytes)\""},
		{"letters stay whole", strings.Repeat("ü", 200), strings.Repeat("ü", longest/2) + "... (400 bytes)\""},
		{"letters stay whole at an odd byte", "x" + strings.Repeat("ü", 200), "x" + strings.Repeat("ü", longest/2-1) + "... (401 bytes)\""},
		{"no letters at all", strings.Repeat("\x80", 300), `... (300 bytes)"`},
		{"error", errors.New(strings.Repeat("x", 300)), "x... (300 bytes)\""},
		{"short error", errors.New("why"), "=why"},
		{"number", 7, "=7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, out := newTest(slog.LevelInfo)
			l.Info("m", "a", tt.arg)
			if got := strings.TrimSuffix(out.String(), "\n"); !strings.HasSuffix(got, tt.want) || len(got) > 5*longest {
				t.Errorf("got %s, want it to end with %s", got, tt.want)
			}
		})
	}
}

// Texts of others are one cause, whatever they say.
func TestHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(slog.LevelInfo)
		others := slog.NewLogLogger(l.Handler("HTTP"), slog.LevelWarn)
		others.Printf("error from %s", "1.2.3.4:5")
		others.Printf("error from %s", "1.2.3.4:6")
		<-time.After(time.Second)
		others.Printf("error from %s", "1.2.3.4:7")
		want := "level=WARN msg=HTTP text=\"error from 1.2.3.4:5\"\nlevel=WARN msg=HTTP text=\"error from 1.2.3.4:7\" similar=1\n"
		if got := out.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		slog.NewLogLogger(l.Handler("detail"), slog.LevelDebug).Print("not written")
		slog.New(l.Handler("quiet")).With("a", 1).WithGroup("g").Debug("not written")
		if got := out.String(); got != want {
			t.Errorf("below the level: %q", got)
		}
	})
}

// However many goroutines log, one line is written and every other one counted.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(slog.LevelInfo)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 100 {
					l.Warn("m")
				}
			})
		}
		all.Wait()
		<-time.After(time.Second)
		l.Warn("m")
		if got, want := out.String(), "level=WARN msg=m\nlevel=WARN msg=m similar=799\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
