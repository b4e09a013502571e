package server

import (
	"log/slog"
	"math"
	"strings"
	"testing"
)

// Connections leave descriptors to the rest of the process.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		openFiles uint64
		want      int // 0: refused
	}{
		{math.MaxUint64, 1000},
		{1000 + 10 + reserved, 1000},
		{999 + 10 + reserved, 999},
		{11 + reserved, 1},
		{10 + reserved, 0},
		{0, 0},
	} {
		s := &Server{opts: Options{MaxConn: 1000, Courtesy: 10}, log: slog.New(slog.DiscardHandler)}
		err := s.fit(c.openFiles)
		switch {
		case c.want == 0 && (err == nil || !strings.Contains(err.Error(), "ulimit -n")):
			t.Errorf("%d open files: %v", c.openFiles, err)
		case c.want > 0 && (err != nil || s.opts.MaxConn != c.want):
			t.Errorf("%d open files: %d connections, %v; want %d", c.openFiles, s.opts.MaxConn, err, c.want)
		}
	}
}
