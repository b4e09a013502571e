package local_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The suite that every store passes, with segments and a ring so small that all cases cross many of them.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   local.Options
		prefix string
	}{
		{name: "defaults"},
		{name: "below a first level", prefix: "first"},
		{name: "small segments", opts: local.Options{SegmentSize: 8 << 10, RecentBytes: 4 << 10}},
		{name: "nothing in memory", opts: local.Options{RecentBytes: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T, clock *storetest.Clock) storetest.Backend {
				b := backend(t, clock, c.opts)
				b.Prefix = c.prefix
				return b
			})
		})
	}
}

// backend is a store on a file system that can crash.
func backend(t *testing.T, clock *storetest.Clock, opts local.Options) storetest.Backend {
	fs := crashfs.New(1)
	opts.Dir, opts.Clock, opts.DiskReserve, opts.MaxRecord = "data/broker", clock.Now, -1, 2<<20
	opts.CheckInterval = 10 * time.Millisecond
	var open *local.Store
	return storetest.Backend{
		TooLarge: 2 << 20,
		Open: func() (store.Store, error) {
			opts.FS = fs
			s, err := local.Open(opts)
			if err != nil {
				return nil, err
			}
			open = s
			return s, nil
		},
		Crash: func() {
			fs.Crash()
			open.Close() //nolint:errcheck // it cannot write any more
			fs = fs.Restart()
		},
	}
}
