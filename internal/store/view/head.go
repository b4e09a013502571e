package view

import "encoding/binary"

// Head is what a session is, beside its subscriptions and its messages.
type Head struct {
	Principal string
	Expiry    uint32 // seconds after the end of the connection
	Due       int64  // when it ends, Unix milliseconds; 0: never, or its connection is not known to be over
	WillDue   int64  // when its will is due, the same; 0 also when it has none
	Connected bool   // no Detach followed the last Connect
	Run       int64  // in which it connected last
	Created   int64  // Unix milliseconds
}

func (h *Head) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, bit(h.Connected, 1))
	b = binary.AppendUvarint(b, uint64(h.Expiry))
	b = binary.AppendVarint(b, h.Due)
	b = binary.AppendVarint(b, h.WillDue)
	b = binary.AppendVarint(b, h.Run)
	b = binary.AppendVarint(b, h.Created)
	return AppendString(b, h.Principal)
}

func (h *Head) read(d *Decoder) {
	h.Connected = d.Uint()&1 != 0
	h.Expiry = d.uint32()
	h.Due, h.WillDue, h.Run, h.Created = d.Int(), d.Int(), d.Int(), d.Int()
	h.Principal = d.String()
}

// latest is the head that a transaction has met last: a change asks for that of its session more than once, and most look-ups of one session follow each other.
type latest struct {
	met    bool
	client string
	is     bool // there is such a session
	head   Head
}

// Head returns the head of a session, which is the caller's; nil when there is none.
func (t *Txn) Head(client string) (*Head, error) {
	l := &t.latest
	if !l.met || l.client != client {
		value, err := t.Get(sessionKey(client, partHead))
		if err != nil {
			return nil, err
		}
		*l = latest{client: client, is: value != nil}
		if l.is {
			d := Decoder{B: value}
			l.head.read(&d)
			if err := d.end(); err != nil {
				return nil, err
			}
		}
		l.met = true
	}
	if !l.is {
		return nil, nil
	}
	h := l.head
	return &h, nil
}

// Absent is told what the caller knows: that there is no session of this client. It spares the look-up, which is the dearest one of a name that is new.
func (t *Txn) Absent(client string) { t.latest = latest{met: true, client: client} }

// putHead writes a head, and enters the session into the indexes: unindex undoes that.
func (t *Txn) putHead(client string, h *Head) error {
	for _, e := range h.indexed() {
		if err := t.Set(NumberKey(e.letter, e.n, client), nil); err != nil {
			return err
		}
	}
	t.latest = latest{met: true, client: client, is: true, head: *h}
	return t.Set(sessionKey(client, partHead), h.encode(nil))
}

// unindex takes a session out of the indexes: it is not connected, and nothing is due.
func (t *Txn) unindex(client string, h *Head) error {
	for _, e := range h.indexed() {
		if err := t.Delete(NumberKey(e.letter, e.n, client)); err != nil {
			return err
		}
	}
	h.Connected, h.Due, h.WillDue = false, 0, 0
	return nil
}

// entry is one of a session in an index.
type entry struct {
	letter byte
	n      int64
}

// indexed lists the entries of a session in the indexes of connections, of expiry and of wills.
func (h *Head) indexed() (list []entry) {
	if h.Connected {
		list = append(list, entry{keyConnected, h.Run})
	}
	if h.Due != 0 {
		list = append(list, entry{keyExpiry, h.Due})
	}
	if h.WillDue != 0 {
		list = append(list, entry{keyWill, h.WillDue})
	}
	return list
}
