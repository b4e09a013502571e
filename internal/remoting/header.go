package remoting

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// errHeader is the root of what is wrong with a header.
var errHeader = errors.New("malformed header")

// header is a decoded header. ext aliases what it was decoded from, when that was binary.
type header struct {
	code   int32
	opaque int32
	flag   int32
	remark string
	ext    pairs
}

// pairs are a header's fields in binary: { name(2+n) value(4+n) }, checked to be whole.
type pairs []byte

// decodeHeader decodes a header of either type.
func decodeHeader(kind byte, b []byte) (header, error) {
	switch kind {
	case typeBinary:
		return decodeBinary(b)
	case typeJSON:
		return decodeJSON(b)
	}
	return header{}, fmt.Errorf("%w: serialization type %d", errHeader, kind)
}

func decodeBinary(b []byte) (header, error) {
	if len(b) < binaryHead {
		return header{}, fmt.Errorf("%w: %d bytes", errHeader, len(b))
	}
	h := header{
		code:   int32(int16(binary.BigEndian.Uint16(b))),
		opaque: int32(binary.BigEndian.Uint32(b[5:])),
		flag:   int32(binary.BigEndian.Uint32(b[9:])),
	}
	remark, b, ok := cutLong(b[13:])
	if !ok {
		return header{}, fmt.Errorf("%w: remark", errHeader)
	}
	ext, b, ok := cutLong(b)
	if !ok || len(b) != 0 {
		return header{}, fmt.Errorf("%w: length of the fields", errHeader)
	}
	h.remark, h.ext = string(remark), pairs(ext)
	return h, h.ext.check()
}

// cutLong cuts what a length of 4 bytes stands before.
func cutLong(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n : 4+n], b[4+n:], true
}

// cut cuts the first field.
func (p pairs) cut() (name, value []byte, rest pairs, ok bool) {
	if len(p) < 2 {
		return nil, nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(p))
	if n > len(p)-2 {
		return nil, nil, nil, false
	}
	name = p[2 : 2+n]
	value, rest, ok = cutLong(p[2+n:])
	return name, value, rest, ok
}

func (p pairs) check() error {
	for len(p) > 0 {
		var ok bool
		if _, _, p, ok = p.cut(); !ok {
			return fmt.Errorf("%w: a field goes beyond the header", errHeader)
		}
	}
	return nil
}

// get is the value of a field, aliasing p; nil, when it is not there.
func (p pairs) get(name string) []byte {
	for len(p) > 0 {
		n, v, rest, _ := p.cut()
		if string(n) == name {
			return v
		}
		p = rest
	}
	return nil
}

// int is a field that must be a number.
func (p pairs) int(name string) (int64, error) {
	v := p.get(name)
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: field %s is %.40q, not a number", errHeader, name, v)
	}
	return n, nil
}

func decodeJSON(b []byte) (header, error) {
	if h, ok := scanHeader(b); ok {
		return h, nil
	}
	return unmarshalHeader(b)
}

// unmarshalHeader decodes a header in any form that JSON has.
func unmarshalHeader(b []byte) (header, error) {
	var j jsonHeader
	if err := json.Unmarshal(b, &j); err != nil {
		return header{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	h := header{code: j.Code, opaque: j.Opaque, flag: j.Flag, ext: pairs(j.ExtFields)}
	if j.Remark != nil {
		h.remark = *j.Remark
	}
	return h, nil
}

// jsonExt is fields that are a JSON object on the wire and pairs in memory: no larger than their JSON, and one form for all readers.
type jsonExt []byte

// MarshalJSON implements json.Marshaler.
func (e jsonExt) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for p := pairs(e); len(p) > 0; {
		n, v, rest, _ := p.cut()
		name, err := json.Marshal(string(n))
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(string(v))
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), value...)
		p = rest
	}
	return append(out, '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler. Values may be strings, numbers, booleans or null, which is absent.
func (e *jsonExt) UnmarshalJSON(b []byte) error {
	*e = nil
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t == nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("extFields begin with %v", t)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		value, err := d.Token()
		if err != nil {
			return err
		}
		if err := e.add(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (e *jsonExt) add(name, value json.Token) error {
	f := field{name: name.(string)} // a key of an object is a string
	if len(f.name) > 1<<16-1 {
		return fmt.Errorf("a field's name has %d bytes", len(f.name))
	}
	switch v := value.(type) {
	case string:
		f.text = v
	case json.Number:
		f.text = v.String()
	case bool:
		f.text = strconv.FormatBool(v)
	case nil:
		return nil
	default:
		return fmt.Errorf("field %.40q is %v", f.name, v)
	}
	*e = appendField(*e, &f)
	return nil
}
