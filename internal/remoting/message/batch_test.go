package message

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
)

// As MessageDecoder.encodeMessage of 5.4.0 writes it, by running it.
const goldenEntry = `
	0000001f            # size: 31
	00000000 00000000   # no magic, no CRC
	00000007            # flag 7
	00000005 68656c6c6f # body "hello"
	0004 61016202       # properties a=b
`

func TestAppendBatchEntryAsJava(t *testing.T) {
	got, err := AppendBatchEntry(nil, 7, []byte("hello"), []byte("a\x01b\x02"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fromHex(t, goldenEntry); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if want := BatchEntrySize(5, 4); len(got) != want {
		t.Errorf("%d bytes, %d foretold", len(got), want)
	}
}

func TestAppendBatchEntryRefuses(t *testing.T) {
	dst := []byte("before")
	got, err := AppendBatchEntry(dst, 0, nil, make([]byte, MaxProperties+1))
	if !errors.Is(err, ErrTooLarge) || string(got) != "before" {
		t.Errorf("properties above the limit: %v, left %q", err, got)
	}
	if _, err := AppendBatchEntry(dst, 0, nil, make([]byte, MaxProperties)); err != nil {
		t.Errorf("properties at the limit: %v", err)
	}
	// Bodies that no test should allocate.
	if _, err := batchEntrySize(math.MaxInt32-batchFixed-10, 10); err != nil {
		t.Errorf("an entry of 2 GiB - 1: %v", err)
	}
	if _, err := batchEntrySize(math.MaxInt32-batchFixed-10, 11); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an entry of 2 GiB: %v, want ErrTooLarge", err)
	}
}

func TestDecodeBatchEntryRefuses(t *testing.T) {
	good := fromHex(t, goldenEntry)
	edit := func(at int, value ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], value)
		return b
	}
	cases := []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, ErrTruncated},
		{"last byte missing", good[:len(good)-1], ErrTruncated},
		{"size negative", edit(0, 0xff), ErrCorrupt},
		{"size below the smallest", edit(3, batchFixed-1), ErrCorrupt},
		{"size below the sum", edit(3, 30), ErrCorrupt},
		{"body negative", edit(16, 0xff), ErrCorrupt},
		{"body beyond", edit(19, 12), ErrCorrupt},
		{"body too short", edit(19, 4), ErrCorrupt},
		{"properties negative", edit(25, 0xff), ErrCorrupt},
		{"properties too short", edit(26, 3), ErrCorrupt},
	}
	for _, c := range cases {
		if e, rest, err := DecodeBatchEntry(c.in); !errors.Is(err, c.want) || rest != nil || e.Body != nil {
			t.Errorf("%s: %v, want %v; left %+v and %d bytes", c.name, err, c.want, e, len(rest))
		}
	}
}

// A message of a BatchCQ topic, taken apart as MessageDecoder.decodeMessage does it.
func TestUnwrap(t *testing.T) {
	var batch []byte
	entries := []BatchEntry{
		{Flag: 1, Body: []byte("one"), Properties: []byte("UNIQ_KEY\x01A\x02")},
		{Flag: 2, Body: []byte{}, Properties: []byte("UNIQ_KEY\x01B\x02")},
		{Flag: -1, Body: []byte("three"), Properties: []byte{}},
	}
	for _, e := range entries {
		var err error
		if batch, err = AppendBatchEntry(batch, e.Flag, e.Body, e.Properties); err != nil {
			t.Fatal(err)
		}
	}
	outer := *stored(100, batch)
	outer.SysFlag = InnerBatch | NeedUnwrap | MultiTags
	m, _, err := Decode(appendStored(nil, &outer))
	if err != nil || !m.SysFlag.Wrapped() {
		t.Fatalf("%v, flags %#x", err, int32(m.SysFlag))
	}
	i := 0
	for rest := m.Body; len(rest) > 0; i++ {
		var e BatchEntry
		if e, rest, err = DecodeBatchEntry(rest); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e, entries[i]) {
			t.Errorf("entry %d: %+v, want %+v", i, e, entries[i])
		}
		want := m
		want.Flag, want.Body, want.Properties = entries[i].Flag, entries[i].Body, entries[i].Properties
		want.QueueOffset, want.SysFlag, want.BodyCRC = 100+int64(i), MultiTags, 0
		want.Size = BatchEntrySize(len(e.Body), len(e.Properties))
		if got := m.Unwrap(i, e); !reflect.DeepEqual(got, want) {
			t.Errorf("message %d: got  %+v\nwant %+v", i, got, want)
		}
	}
	if i != len(entries) {
		t.Errorf("%d entries, want %d", i, len(entries))
	}
}
