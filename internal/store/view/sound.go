package view

import (
	"errors"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

var (
	errUnknownKind = errors.New("its kind is unknown: use the version that wrote it")
	errNoMessage   = errors.New("it names no message")
	errNoQueue     = errors.New("it names no queue")
)

// Sound says whether c has what its kind needs. It is asked before c is written, and when it is read.
func Sound(c *store.Change) error {
	switch c.Kind {
	case store.Send2, store.Pubrec, store.Done2:
		if len(c.Inflight) == 0 {
			return errNoMessage
		}
	case store.Receive:
		if c.Receipt.PacketID == 0 {
			return errNoMessage
		}
	case store.Note:
		if len(c.Cursor) == 0 {
			return errNoQueue
		}
	default:
		if c.Kind == 0 || c.Kind > store.Note {
			return errUnknownKind
		}
	}
	return nil
}
