package message

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
)

const upperHex = "0123456789ABCDEF"

// IDs makes the unique keys (UNIQ_KEY) of messages, in the layout of
// org.apache.rocketmq.common.message.MessageClientIDSetter, so that RocketMQ's tools find address, process and time in
// them. In upper case hex, 32 characters, or 56 when the address is IPv6:
//
//	address             4 or 16 bytes
//	process id          2  its lower half
//	class loader's hash 4  here: random, anew for each IDs
//	time                4  ms since the month began, in the local time zone, as Java has it
//	counter             2
//
// The random bytes stand where Java's are chance as well. They are needed since containers share address and process id.
//
// Within a month one IDs gives no id twice: time never goes back, whatever the clock does, and when the counter comes
// round within a millisecond, time goes on by one. In another month an id may come again, as in Java: if the process is
// still the same, and in the same millisecond of the month it is at the same of its 65,536 counts.
type IDs struct {
	prefix []byte // address, process id and random bytes in hex
	now    func() time.Time
	last   atomic.Int64 // of the last id: ms since 1970 << 16 | counter
	month  atomic.Pointer[month]
}

// month is a calendar month in ms since 1970: start <= ms < end.
type month struct{ start, end int64 }

// NewIDs makes a generator for a process at this address. An address that is none is an error.
func NewIDs(addr netip.Addr, pid int) (*IDs, error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process instead
	return newIDs(addr, pid, random, time.Now)
}

func newIDs(addr netip.Addr, pid int, random [4]byte, now func() time.Time) (*IDs, error) {
	if !addr.IsValid() {
		return nil, errors.New("ids of messages need the address of this host")
	}
	fixed := addr.Unmap().AsSlice()
	fixed = binary.BigEndian.AppendUint16(fixed, uint16(pid)) // its lower half, as in Java
	fixed = append(fixed, random[:]...)
	g := &IDs{now: now}
	for _, b := range fixed {
		g.prefix = append(g.prefix, upperHex[b>>4], upperHex[b&15])
	}
	return g, nil
}

// Len is the number of bytes that AppendNext appends.
func (g *IDs) Len() int { return len(g.prefix) + 2*(4+2) }

// AppendNext appends the next id to dst. It allocates nothing but what dst lacks, and may be called from any number of
// goroutines.
func (g *IDs) AppendNext(dst []byte) []byte {
	now := g.now()
	id := g.next(now.UnixMilli())
	ms := id >> 16
	since := uint32(ms - g.monthOf(ms, now.Location()).start) // 31 days are 2,678,400,000 ms
	dst = append(dst, g.prefix...)
	dst = appendHex(dst, uint64(since), 8)
	return appendHex(dst, uint64(id&0xFFFF), 4)
}

// next gives a number above all that it gave before: ms << 16, and below it a counter that goes on through all of them.
func (g *IDs) next(ms int64) int64 {
	for {
		last := g.last.Load()
		next := last + 1 // the counter's carry is a millisecond
		if fresh := ms<<16 | next&0xFFFF; fresh > next {
			next = fresh
		}
		if g.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// monthOf returns the month that ms is in. It is worked out once a month.
func (g *IDs) monthOf(ms int64, zone *time.Location) *month {
	if m := g.month.Load(); m != nil && m.start <= ms && ms < m.end {
		return m
	}
	t := time.UnixMilli(ms).In(zone)
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, zone)
	m := &month{start: first.UnixMilli(), end: first.AddDate(0, 1, 0).UnixMilli()}
	g.month.Store(m) // others may store another month now: then one of both is worked out again
	return m
}

// appendHex appends the lowest digits of v.
func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, upperHex[v>>shift&15])
	}
	return dst
}
