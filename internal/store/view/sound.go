package view

import (
	"errors"
	"fmt"
	"math"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

var (
	errUnknownKind = errors.New("its kind is unknown: use the version that wrote it")
	errNoMessage   = errors.New("it names no message")
	errNoQueue     = errors.New("it names no queue")
	errNameTooLong = fmt.Errorf("a name has more than 65,535 bytes: %w", store.ErrTooLarge)
	errPacketID    = errors.New("a packet id is 0, or there twice")
	errQoS         = errors.New("a message has another QoS than what is told of it can have")
)

// Sound says whether c has what its kind needs. It is asked before c is written, and when it is read.
func Sound(c *store.Change) error {
	if tooLong(c.Client) || tooLong(c.Subscription.Filter) {
		return errNameTooLong
	}
	switch c.Kind {
	case store.Send2:
		return soundSend2(c.Inflight)
	case store.Pubrec, store.Done2:
		if len(c.Inflight) == 0 || c.Inflight[0].PacketID == 0 {
			return errNoMessage
		}
	case store.Progress, store.Detach:
		if !uniqueIDs(c.Inflight, func(in *store.Inflight) uint16 { return in.PacketID }) {
			return errPacketID
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

// soundSend2 is Sound for the list of a Send2.
func soundSend2(list []store.Inflight) error {
	switch {
	case len(list) == 0 || list[0].PacketID == 0:
		return errNoMessage
	case list[0].QoS != 2:
		return errQoS
	case tooLong(list[0].Group):
		return errNameTooLong
	}
	return nil
}

// Nameable is nil when a client id or a filter may be part of keys; else the error is a store.ErrTooLarge.
func Nameable(name string) error {
	if tooLong(name) {
		return errNameTooLong
	}
	return nil
}

// tooLong says that a name does not fit where keys and packets have it.
func tooLong(name string) bool { return len(name) > math.MaxUint16 }

// uniqueIDs says that no packet id is 0 or there twice [MQTT-2.2.1-4].
func uniqueIDs[T any](list []T, id func(*T) uint16) bool {
	seen := make(map[uint16]struct{}, len(list))
	for i := range list {
		seen[id(&list[i])] = struct{}{}
	}
	_, zero := seen[0]
	return !zero && len(seen) == len(list)
}
