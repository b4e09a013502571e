package message

// SysFlag is RocketMQ's own flags of a message (org.apache.rocketmq.common.sysflag.MessageSysFlag).
type SysFlag int32

// The bits of a SysFlag.
const (
	Compressed     SysFlag = 1 << 0 // the body; CompressionType says how
	MultiTags      SysFlag = 1 << 1
	Transaction    SysFlag = 3 << 2 // mask: 0 none, 1 prepared, 2 committed, 3 rolled back
	BornHostV6     SysFlag = 1 << 4
	StoreHostV6    SysFlag = 1 << 5
	NeedUnwrap     SysFlag = 1 << 6 // with InnerBatch: readers unwrap the body themselves
	InnerBatch     SysFlag = 1 << 7 // the body is a batch that has one place in its queue
	compressionBit         = 8      // the type of compression stands in three bits from here
)

// Compression is how a body is compressed (org.apache.rocketmq.common.compression.CompressionType).
type Compression uint8

// The compressions there are. 0 is zlib as well: before 5.0 there was no other, and no type.
const (
	LZ4  Compression = 1 // the frame format
	Zstd Compression = 2
	Zlib Compression = 3
)

// Compression tells how the body is compressed, if it is (Compressed). It may be a number that is none of the
// constants.
func (f SysFlag) Compression() Compression {
	if c := Compression(f>>compressionBit) & 7; c != 0 {
		return c
	}
	return Zlib
}

// Wrapped tells whether the body is a batch that the reader takes apart: see Message.Unwrap. As in Java's
// PullAPIWrapper.processPullResult both flags must be set: InnerBatch alone is a batch that the broker takes apart.
func (f SysFlag) Wrapped() bool {
	const both = InnerBatch | NeedUnwrap
	return f&both == both
}
