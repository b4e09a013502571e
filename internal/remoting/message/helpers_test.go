package message

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

// fromHex reads bytes written as hex, a field to a line, with a comment behind #.
func fromHex(t testing.TB, annotated string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(annotated) {
		field, _, _ := strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(field), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// appendStored writes m as a broker stores it. Size is worked out; Version and the flags of SysFlag must fit the rest.
func appendStored(dst []byte, m *Message) []byte {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, map[Version]uint32{V1: magicV1, V2: magicV2}[m.Version])
	dst = binary.BigEndian.AppendUint32(dst, m.BodyCRC)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.QueueID))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Flag))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.QueueOffset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.PhysicalOffset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.SysFlag))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.BornTimestamp))
	dst = appendHost(dst, m.BornHost)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.StoreTimestamp))
	dst = appendHost(dst, m.StoreHost)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.ReconsumeTimes))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.PreparedTransactionOffset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.Body)))
	dst = append(dst, m.Body...)
	if m.Version == V1 {
		dst = append(dst, byte(len(m.Topic)))
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.Topic)))
	}
	dst = append(dst, m.Topic...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.Properties)))
	dst = append(dst, m.Properties...)
	binary.BigEndian.PutUint32(dst[begin:], uint32(len(dst)-begin))
	return dst
}

func appendHost(dst []byte, h netip.AddrPort) []byte {
	dst = append(dst, h.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint32(dst, uint32(h.Port()))
}

// stored is a message of ours as a broker keeps it.
func stored(queueOffset int64, body []byte) *Message {
	return &Message{
		Version: V1, QueueID: 3, QueueOffset: queueOffset, PhysicalOffset: 1000 * queueOffset,
		BodyCRC: crc32.ChecksumIEEE(body) & 0x7FFFFFFF, BornTimestamp: 1_790_000_000_000, StoreTimestamp: 1_790_000_000_001,
		BornHost: netip.MustParseAddrPort("10.0.0.7:40000"), StoreHost: netip.MustParseAddrPort("10.0.0.1:10911"),
		Body: body, Topic: []byte("sensors"),
		Properties: []byte("UNIQ_KEY\x010A000007000118B4AAC2142B7FE80001\x02TAGS\x01MQTT_COMMON\x02" +
			"INNER_MULTI_DISPATCH\x01%LMQ%sensors%a%,%LMQ%sensors%+%\x02INNER_MULTI_QUEUE_OFFSET\x0117,18\x02" +
			"originMqttTopic\x01sensors/a\x02qosLevel\x011\x02CLUSTER\x01DefaultCluster\x02"),
	}
}
