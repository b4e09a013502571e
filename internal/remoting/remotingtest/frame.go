package remotingtest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Request is a request, or a reply to a request of the server's own.
type Request struct {
	JSON     bool // type of the header
	Code     int32
	Language string
	Version  int32
	Opaque   int32
	Flag     int32 // 1: reply, 2: one way
	Remark   string
	Fields   map[string]string
	Body     []byte
	Conn     *Conn `json:"-"`
}

// Reply answers the request in the type of header that it came with.
func (r *Request) Reply(code int32, remark string, fields map[string]string, body []byte) {
	r.Conn.Write(r.Encode(code, remark, fields, body))
}

// Encode is the frame of a reply.
func (r *Request) Encode(code int32, remark string, fields map[string]string, body []byte) []byte {
	return Encode(&Request{JSON: r.JSON, Code: code, Opaque: r.Opaque, Flag: 1, Remark: remark, Fields: fields, Body: body})
}

// wireJSON is a header in JSON.
type wireJSON struct {
	Code     int32             `json:"code"`
	Language string            `json:"language"`
	Version  int32             `json:"version"`
	Opaque   int32             `json:"opaque"`
	Flag     int32             `json:"flag"`
	Remark   string            `json:"remark,omitempty"`
	Fields   map[string]string `json:"extFields,omitempty"`
}

// Encode makes a frame of r.
func Encode(r *Request) []byte {
	var header []byte
	kind := uint32(1)
	if r.JSON {
		kind = 0
		header, _ = json.Marshal(wireJSON{r.Code, "JAVA", r.Version, r.Opaque, r.Flag, r.Remark, r.Fields}) // strings and numbers
	} else {
		header = encodeBinary(r)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(r.Body)))
	b = binary.BigEndian.AppendUint32(b, kind<<24|uint32(len(header)))
	return append(append(b, header...), r.Body...)
}

func encodeBinary(r *Request) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(r.Code))
	b = append(b, 0) // Java
	b = binary.BigEndian.AppendUint16(b, uint16(r.Version))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Opaque))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Flag))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Remark)))
	b = append(b, r.Remark...)
	var ext []byte
	for _, k := range slices.Sorted(maps.Keys(r.Fields)) {
		ext = binary.BigEndian.AppendUint16(ext, uint16(len(k)))
		ext = append(ext, k...)
		ext = binary.BigEndian.AppendUint32(ext, uint32(len(r.Fields[k])))
		ext = append(ext, r.Fields[k]...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(ext)))
	return append(b, ext...)
}

func readRequest(r io.Reader) (*Request, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	word := binary.BigEndian.Uint32(head[4:])
	n := word & (1<<24 - 1)
	if length > 64<<20 || length < 4+n {
		return nil, fmt.Errorf("length %d, header length %d", length, n)
	}
	b := make([]byte, length-4)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	out, err := decodeHeader(word>>24, b[:n])
	if err != nil {
		return nil, err
	}
	out.Body = b[n:]
	return out, nil
}

func decodeHeader(kind uint32, b []byte) (*Request, error) {
	if kind == 0 {
		var w wireJSON
		err := json.Unmarshal(b, &w)
		return &Request{
			JSON: true, Code: w.Code, Language: w.Language, Version: w.Version, Opaque: w.Opaque, Flag: w.Flag, Remark: w.Remark, Fields: w.Fields,
		}, err
	}
	d := reader{b: b}
	r := &Request{Code: int32(int16(d.uint(2))), Language: fmt.Sprint(d.uint(1)), Version: int32(d.uint(2))}
	r.Opaque, r.Flag = int32(d.uint(4)), int32(d.uint(4))
	r.Remark = d.text(4)
	ext := reader{b: []byte(d.text(4))}
	r.Fields = make(map[string]string)
	for len(ext.b) > 0 && !ext.bad {
		k := ext.text(2)
		r.Fields[k] = ext.text(4)
	}
	if d.bad || ext.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("header %x", b)
	}
	return r, nil
}

// reader reads numbers and texts until something is missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint(size int) uint32 {
	if len(r.b) < size {
		r.b, r.bad = nil, true
		return 0
	}
	var v uint32
	for _, x := range r.b[:size] {
		v = v<<8 | uint32(x)
	}
	r.b = r.b[size:]
	return v
}

func (r *reader) text(size int) string {
	n := int(r.uint(size))
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
