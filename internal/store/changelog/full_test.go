package changelog

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// dropped is a log that keeps nothing.
type dropped struct{}

func (dropped) Append(int, []byte) {}
func (dropped) Away(int) error     { return nil }

// A disk that is full ends the view, and says so once; what is read then counts no longer, and closing ends.
func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	}))
	told := make(chan error, 2)
	c, err := Open(Options{Dir: "view", FS: fs, Queues: 1, Log: dropped{}, Failed: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	connect := func(offset int64, client string) error {
		r := record{kind: kindConnect, node: 7, seq: uint64(offset), base: none, name: client}
		r.body = view.AppendChange(nil, &store.Change{Kind: store.Connect, Client: client, Expiry: 60})
		return c.Read(0, []Entry{{Offset: offset, Time: 1, Data: r.append(nil)}}, offset+1, nil)
	}
	if err := connect(0, "before"); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	if err := c.Flush(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush: %v", err)
	}
	if err := <-told; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("told of %v", err)
	}
	if err := connect(1, "after"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("what is read then is answered with %v", err)
	}
	if err := c.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close: %v", err)
	}
	select {
	case err := <-told:
		t.Errorf("told again: %v", err)
	default:
	}
	if _, err := c.Load("before"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed, and load answers %v", err)
	}
}
