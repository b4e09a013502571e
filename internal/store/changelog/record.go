package changelog

import (
	"encoding/binary"
	"errors"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// kind says what a record is.
type kind byte

const (
	kindBeat    kind = iota + 1 // a node lives, and says how far its sessions that keep up are
	kindFence                   // a node is taken for dead: nothing that it writes after this counts
	kindConnect                 // a node wants to own a client id
	kindTake                    // the former owner has not answered: the new one goes on without it
	kindFinal                   // the former owner says where it was: the new one goes on from there
	kindChanges                 // the owner changes its session; of a session without owner any node may
	kindLeft                    // the owner gives up a session of which it knows nothing
	kindState                   // all there is of a name again: its records are about to be dropped, or were lost
	kindWill                    // what a node does about wills that are owed (wills.go)
	lastKind    = kindWill
)

// record is one entry of the changelog.
type record struct {
	kind kind
	node uint64 // who wrote it
	seq  uint64 // number of this record among those of its writer: what was sent twice has it twice
	base int64  // offset of the last valid record of name that its writer had read; none: -1
	at   int64  // when that was stored, Unix milliseconds: a log that went back gives its offset to another record. Of a beat queue.from
	name string // client id; of a fence the node that it is about, of a beat the process that its writer is of (process.go)
	body []byte // by kind
}

// none is the base of the first record of a name.
const none int64 = -1

const recordVersion = 1

var (
	errShort   = errors.New("it ends early")
	errVersion = errors.New("it was written by a later version")
)

func (r *record) append(b []byte) []byte {
	b = append(b, recordVersion, byte(r.kind))
	b = binary.BigEndian.AppendUint64(b, r.node)
	b = binary.AppendUvarint(b, r.seq)
	b = binary.AppendVarint(binary.AppendVarint(b, r.base), r.at)
	return append(view.AppendString(b, r.name), r.body...)
}

// parse decodes a record; body aliases b.
func (r *record) parse(b []byte) error {
	if len(b) < 10 {
		return errShort
	}
	if b[0] != recordVersion || b[1] == 0 || kind(b[1]) > lastKind {
		return errVersion
	}
	r.kind, r.node = kind(b[1]), binary.BigEndian.Uint64(b[2:])
	d := newDecoder(b[10:])
	r.seq, r.base, r.at = d.Uint(), d.Int(), d.Int()
	r.name = d.String()
	r.body = d.B
	return d.Err
}

// decoder reads what view's append functions wrote, and numbers of eight bytes.
type decoder struct{ view.Decoder }

func newDecoder(b []byte) decoder { return decoder{view.Decoder{B: b}} }

// uint64 reads a number of eight bytes.
func (d *decoder) uint64() uint64 {
	if len(d.B) < 8 {
		d.B, d.Err = nil, errShort
		return 0
	}
	v := binary.BigEndian.Uint64(d.B)
	d.B = d.B[8:]
	return v
}
