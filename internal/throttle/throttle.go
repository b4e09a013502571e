// Package throttle logs what others choose how often it happens. They must not choose how much is written, nor fill the disk with it.
//
// For each cause at most one line is written in a period; the next one says how many were kept back ("similar"). A debug line is there to be
// read with its neighbours, so of those 100 pass. What a client chose, such as a topic, is cut to 256 bytes. So a cause
// writes a few KiB in a period at most, and a few hundred for those who ask for debug lines.
package throttle

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	debugLines = 100 // of one cause in a period
	longest    = 256 // bytes of one value
)

// Logger is a slog.Logger for lines that clients cause. Its methods may be called on any goroutine.
type Logger struct {
	log    *slog.Logger
	period time.Duration
	now    func() time.Time

	mu     sync.Mutex
	causes map[string]*cause // by message; those are constants of the code, so there are few
}

// cause is what happened to the lines with one message.
type cause struct {
	since  time.Time // when the period began
	lines  int       // written in it
	kept   int       // kept back since the last line
	begins bool      // since is set
}

// New returns a Logger that writes to log, with now as its clock.
func New(log *slog.Logger, period time.Duration, now func() time.Time) *Logger {
	return &Logger{log: log, period: period, now: now, causes: map[string]*cause{}}
}

// Debug logs at this level; see Log.
func (l *Logger) Debug(msg string, args ...any) { l.Log(slog.LevelDebug, msg, args...) }

// Info logs at this level; see Log.
func (l *Logger) Info(msg string, args ...any) { l.Log(slog.LevelInfo, msg, args...) }

// Warn logs at this level; see Log.
func (l *Logger) Warn(msg string, args ...any) { l.Log(slog.LevelWarn, msg, args...) }

// Error logs at this level; see Log.
func (l *Logger) Error(msg string, args ...any) { l.Log(slog.LevelError, msg, args...) }

// Log logs msg, which is the cause and a constant, with args as slog takes them, unless there was enough of it.
func (l *Logger) Log(level slog.Level, msg string, args ...any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	most := 1
	if level < slog.LevelInfo {
		most = debugLines
	}
	kept, ok := l.pass(msg, most)
	if !ok {
		return
	}
	short := make([]any, 0, len(args)+2)
	for _, a := range args {
		short = append(short, cut(a))
	}
	if kept > 0 {
		short = append(short, "similar", kept)
	}
	l.log.Log(context.Background(), level, msg, short...)
}

// Handler returns a handler for loggers of others, whose messages are no constants: all of them have one cause, msg.
func (l *Logger) Handler(msg string) slog.Handler { return handler{l, msg} }

type handler struct {
	l   *Logger
	msg string
}

// Enabled implements slog.Handler.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.l.log.Enabled(ctx, level)
}

// Handle implements slog.Handler. Attributes are left out.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.l.Log(r.Level, h.msg, "text", r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h handler) WithGroup(string) slog.Handler { return h }

// pass reports whether a line of this cause may be written, and how many were kept back before it.
func (l *Logger) pass(msg string, most int) (kept int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.causes[msg]
	if c == nil {
		c = &cause{}
		l.causes[msg] = c
	}
	if now := l.now(); !c.begins || now.Sub(c.since) >= l.period {
		c.begins, c.since, c.lines = true, now, 0
	}
	if c.lines >= most {
		c.kept++
		return 0, false
	}
	c.lines++
	kept, c.kept = c.kept, 0
	return kept, true
}

// cut shortens what is too long to be logged.
func cut(a any) any {
	switch v := a.(type) {
	case string:
		return cutText(v)
	case error:
		if s := v.Error(); len(s) > longest {
			return cutText(s)
		}
	}
	return a
}

func cutText(s string) string {
	if len(s) <= longest {
		return s
	}
	end := longest
	for end > longest-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:end], len(s))
}
