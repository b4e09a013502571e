package view

import (
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Keys of a view. Numbers are big endian, so that they sort; names carry their length, so that none is a prefix of
// another. Letters that are not here are those of whoever keeps the changelog: store/local has 0 f i m n o, store/changelog b c h l p t u.
//
//	"s" client part                  a session: 0 its head, 1 progress, 2 filter, 3 received id, 4 QoS 2 id, 5 queue, 6 will,
//	                                 7 id on its way to where it is stored
//	"g" filter part                  a group: 0 its head, 1 member, 2 exact position
//	"e" due client                   a session that is due to end
//	"w" due client                   a will that is due
//	"k" run client                   a session connected in that run
//	"r" run                          the last checkpoint of that run
//	"q" queue                        the note of that queue (notes.go)
const (
	keySession    = 's'
	keyGroup      = 'g'
	keyExpiry     = 'e'
	keyConnected  = 'k'
	keyCheckpoint = 'r'
	keyWill       = 'w'
	keyNote       = 'q'
)

// Parts of a session and of a group.
const (
	partHead     byte = 0
	partProgress byte = 1
	partFilter   byte = 2
	partReceived byte = 3
	partExactly  byte = 4
	partSent2    byte = 5
	partWill     byte = 6
	partPending  byte = 7
	partMember   byte = 1
	partExact    byte = 2
)

// namePrefix is the prefix of all keys of one session or group.
func namePrefix(b []byte, kind byte, name string) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return append(b, name...)
}

// splitName returns the name in a key that namePrefix began, and what follows it.
func splitName(key []byte) (name, rest []byte) {
	if len(key) < 3 {
		return nil, nil
	}
	n := int(binary.BigEndian.Uint16(key[1:]))
	if len(key) < 3+n {
		return nil, nil
	}
	return key[3 : 3+n], key[3+n:]
}

func sessionKey(client string, part byte) []byte {
	return append(namePrefix(make([]byte, 0, len(client)+8), keySession, client), part)
}

func filterKey(client, filter string) []byte {
	return append(sessionKey(client, partFilter), filter...)
}

func idKey(client string, part byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(sessionKey(client, part), id)
}

func sent2Key(client string, q store.Queue) []byte {
	return binary.BigEndian.AppendUint64(sessionKey(client, partSent2), uint64(q))
}

func groupKey(filter string, part byte) []byte {
	return append(namePrefix(make([]byte, 0, len(filter)+16), keyGroup, filter), part)
}

func memberKey(filter, client string) []byte {
	return append(groupKey(filter, partMember), client...)
}

func exactKey(filter string, p store.Position) []byte {
	b := binary.BigEndian.AppendUint64(groupKey(filter, partExact), uint64(p.Queue))
	return binary.BigEndian.AppendUint64(b, uint64(p.Offset))
}

// NumberKey is a key of a number and, where the kind has one, a client.
func NumberKey(kind byte, n int64, client string) []byte {
	b := append(make([]byte, 0, 9+len(client)), kind)
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	return append(b, client...)
}

func noteKey(q store.Queue) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyNote}, uint64(q))
}

// SplitNumber is the inverse of NumberKey.
func SplitNumber(key []byte) (n int64, rest []byte) {
	if len(key) < 9 {
		return 0, nil
	}
	return int64(binary.BigEndian.Uint64(key[1:])), key[9:]
}

// splitExact is the inverse of what exactKey appends.
func splitExact(b []byte) (store.Position, bool) {
	if len(b) != 16 {
		return store.Position{}, false
	}
	return store.Position{Queue: store.Queue(binary.BigEndian.Uint64(b)), Offset: int64(binary.BigEndian.Uint64(b[8:]))}, true
}
