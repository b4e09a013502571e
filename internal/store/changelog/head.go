package changelog

import (
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// head is what the changelog keeps of a name beside its session: who may write about it. Every node that has read the same records
// has the same heads.
type head struct {
	last   int64   // offset of the last valid record
	old    bool    // this node has not read what stood of it before, and cannot judge what it reads (old.go); last is none, or what is taken for it
	below  int64   // the highest base that was seen of such a name
	seen   []int64 // where its records stand that may have counted since then
	time   int64   // when that was stored, Unix milliseconds
	since  int64   // and when the first one was that is needed to know all of the name: with the state, or what began the name. A new session does not: whether what began it counts, its base tells
	owner  uint64  // node; 0: nobody
	former uint64  // node that is to hand over to the owner; 0: nobody
	torn   bool    // how far the owner before this one came is not known exactly: its end is not in the changelog
	gone   bool    // there is no session and no owner: only last counts, until graveTime after time

	principal string           // of the owner
	sentUpTo  []store.Position // store.Session.SentUpTo, as the one before this owner left it

	anew  bool       // the session began since former served the client: what that one says is about its will alone
	owed  []owedWill // wills that left the session, in order (wills.go)
	moved uint64     // id of the one that left it last, since the last connect; 0: none
}

// isBase is the base rule: the last valid record is the one that the writer of r had read.
func (h *head) isBase(r *record) bool { return r.base == h.last && (r.base == none || r.at == h.time) }

// graveTime is how long after its end a name is kept, in milliseconds of the times of records. A record that was sent twice may come so late;
// it is void then, while later it would be taken for the first one of the name.
const graveTime = 10 * 60 * 1000

func (h *head) encode(b []byte) []byte {
	var flags byte
	if h.torn {
		flags |= 1
	}
	if h.gone {
		flags |= 2
	}
	if h.old {
		flags |= 4
	}
	if h.anew {
		flags |= 8
	}
	b = append(b, flags)
	b = binary.AppendVarint(binary.AppendVarint(b, h.last), h.below)
	b = binary.AppendVarint(b, h.time)
	b = binary.AppendVarint(b, h.since)
	b = binary.BigEndian.AppendUint64(b, h.owner)
	b = binary.BigEndian.AppendUint64(b, h.former)
	b = view.AppendString(b, h.principal)
	b = view.AppendPositions(b, h.sentUpTo)
	b = binary.AppendUvarint(b, uint64(len(h.seen)))
	for _, at := range h.seen {
		b = binary.AppendVarint(b, at)
	}
	return appendOwed(binary.AppendUvarint(b, h.moved), h.owed)
}

func (h *head) decode(b []byte) error {
	if len(b) == 0 {
		return errShort
	}
	h.torn, h.gone, h.old, h.anew = b[0]&1 != 0, b[0]&2 != 0, b[0]&4 != 0, b[0]&8 != 0
	d := newDecoder(b[1:])
	h.last, h.below, h.time, h.since = d.Int(), d.Int(), d.Int(), d.Int()
	h.owner, h.former = d.uint64(), d.uint64()
	h.principal = d.String()
	h.sentUpTo = d.Positions()
	for n := d.Uint(); n > 0 && d.Err == nil; n-- {
		h.seen = append(h.seen, d.Int())
	}
	h.moved, h.owed = d.Uint(), d.owed()
	return d.Err
}

// Keys beside those of package view. A queue is two bytes, big endian; a time eight.
//
//	"b" queue node            what is known of a node (peer)
//	"c" client                a head
//	"h" queue node client     a client id that the node owns
//	"l" queue                 where reading this queue goes on, and where it began
//	"t" queue time client     a head that is gone, by its time
//	"p" queue filter          a shared subscription group (share.go)
//	"u" queue client          a client id that owes a will
const (
	keyPeer  = 'b'
	keyHead  = 'c'
	keyOwned = 'h'
	keyQueue = 'l'
	keyGrave = 't'
	keyShare = 'p'
	keyOwes  = 'u'
)

func headKey(name string) []byte { return append([]byte{keyHead}, name...) }

func queueKey(letter byte, q uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{letter}, q)
}

// numberKey is view.NumberKey within queue q.
func numberKey(letter byte, q uint16, n uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64(queueKey(letter, q), n), name...)
}

// splitNumber returns the number and the name of a numberKey.
func splitNumber(key []byte) (n uint64, name string) {
	const at = 1 + 2
	if len(key) < at+8 {
		return 0, ""
	}
	return binary.BigEndian.Uint64(key[at:]), string(key[at+8:])
}

// head returns what is known of a name as of a record that was stored at now; nil: nothing.
func (x *txn) head(name string, now int64) (*head, error) {
	value, err := x.Get(headKey(name))
	if err != nil || value == nil {
		return nil, err
	}
	h := new(head)
	if err := h.decode(value); err != nil {
		return nil, err
	}
	if h.gone && now-h.time > graveTime {
		return nil, x.forget(name, h)
	}
	return h, nil
}

// put replaces was, which may be nil, by h.
func (x *txn) put(name string, was, h *head) error {
	if was != nil && was.owner != h.owner && was.owner != 0 {
		if err := x.Delete(numberKey(keyOwned, x.q, was.owner, name)); err != nil {
			return err
		}
	}
	if h.owner != 0 && (was == nil || was.owner != h.owner) {
		if err := x.know(h.owner); err != nil {
			return err
		}
		if err := x.Set(numberKey(keyOwned, x.q, h.owner, name), nil); err != nil {
			return err
		}
	}
	if err := x.indexOwed(name, was.owes(), h.owes()); err != nil {
		return err
	}
	for i := range h.owed {
		if by := h.owed[i].by; by != 0 && !was.claimedBy(by) {
			if err := x.know(by); err != nil {
				return err
			}
		}
	}
	if was != nil && was.gone {
		if err := x.Delete(numberKey(keyGrave, x.q, uint64(was.time), name)); err != nil {
			return err
		}
	}
	if h.gone {
		if err := x.Set(numberKey(keyGrave, x.q, uint64(h.time), name), nil); err != nil {
			return err
		}
	}
	return x.Set(headKey(name), h.encode(nil))
}

// indexOwed enters a name into the list of those that owe a will, or takes it out.
func (x *txn) indexOwed(name string, was, is bool) error {
	key := append(queueKey(keyOwes, x.q), name...)
	switch {
	case is && !was:
		return x.Set(key, nil)
	case was && !is:
		return x.Delete(key)
	}
	return nil
}

// forget removes a head that is gone.
func (x *txn) forget(name string, h *head) error {
	if err := x.Delete(numberKey(keyGrave, x.q, uint64(h.time), name)); err != nil {
		return err
	}
	return x.Delete(headKey(name))
}

// buryEvery is how often names are looked for that are to be forgotten, in milliseconds of the times of records: the look costs as much as several records.
const buryEvery = graveTime / 10

// bury removes heads that have been gone for long at now, a bounded number. done: there are no more.
func (x *txn) bury(now int64) (done bool, err error) {
	const most = 64
	prefix := queueKey(keyGrave, x.q)
	var names []string
	var times []int64
	err = x.Each(prefix, func(key, _ []byte) error {
		time, name := splitNumber(key)
		if now-int64(time) <= graveTime || len(names) == most {
			return view.Stop
		}
		names, times = append(names, name), append(times, int64(time))
		return nil
	})
	for i, name := range names {
		if err == nil {
			err = x.forget(name, &head{time: times[i]})
		}
	}
	return len(names) < most, err
}

// bury has names be forgotten, when it is time. reading is held.
func (qu *queue) bury(x *txn, now int64) error {
	if now < qu.buried+buryEvery {
		return nil
	}
	done, err := x.bury(now)
	if done {
		qu.buried = now
	}
	return err
}
