package remoting

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
)

const (
	frameHead  = 8                         // length, header length with the type in its top byte
	binaryHead = 2 + 1 + 2 + 4 + 4 + 4 + 4 // code, language, version, opaque, flag, and two lengths

	typeJSON   = 0
	typeBinary = 1
)

// appendFrame appends c as a frame: with a binary header, when its code fits one.
func appendFrame(dst []byte, c *command, opaque int32) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	kind := uint32(typeJSON)
	if c.code >= math.MinInt16 && c.code <= math.MaxInt16 {
		kind = typeBinary
		dst = appendBinary(dst, c, opaque)
	} else {
		dst = appendJSON(dst, c, opaque)
	}
	header := uint32(len(dst) - start - frameHead)
	dst = append(dst, c.body...)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	binary.BigEndian.PutUint32(dst[start+4:], kind<<24|header)
	return dst
}

// appendBinary appends a header as class RocketMQSerializable reads it.
//
//	code(2) language(1) version(2) opaque(4) flag(4) remark(4+n) fields(4 + { name(2+n) value(4+n) })
func appendBinary(dst []byte, c *command, opaque int32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(c.code))
	dst = append(dst, languageGo)
	dst = binary.BigEndian.AppendUint16(dst, uint16(c.version()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(opaque))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.flag))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	start := len(dst)
	for i := range c.fields[:c.n] {
		dst = appendField(dst, &c.fields[i])
	}
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

func appendField(dst []byte, f *field) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.name)))
	dst = append(dst, f.name...)
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	if f.isNum {
		dst = strconv.AppendInt(dst, f.num, 10)
	} else {
		dst = append(dst, f.text...)
	}
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

// jsonHeader is a header as class RemotingSerializable writes it.
type jsonHeader struct {
	Code      int32   `json:"code"`
	Language  string  `json:"language"`
	Version   int32   `json:"version"`
	Opaque    int32   `json:"opaque"`
	Flag      int32   `json:"flag"`
	Remark    *string `json:"remark,omitempty"`
	ExtFields jsonExt `json:"extFields,omitempty"`
}

func appendJSON(dst []byte, c *command, opaque int32) []byte {
	h := jsonHeader{Code: c.code, Language: "GO", Version: c.version(), Opaque: opaque, Flag: c.flag}
	for i := range c.fields[:c.n] {
		h.ExtFields = appendField(h.ExtFields, &c.fields[i])
	}
	b, err := json.Marshal(h)
	if err != nil {
		panic(err) // strings and numbers
	}
	return append(dst, b...)
}
