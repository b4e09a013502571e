package remoting

// maxFields is how many fields a request may have, those of a signature included.
const maxFields = 24

// field is a field of a request's header (extFields). Numbers stay numbers until they are written.
type field struct {
	name  string
	text  string
	num   int64
	isNum bool
}

// command is a request before it is encoded. It lives on its maker's stack.
type command struct {
	code   int32
	flag   int32
	old    bool // says that we are V4_9_3: see QueryMessages
	fields [maxFields]field
	n      int // how many fields there are
	body   []byte
}

// str adds a text. An empty one is left out: brokers from 4.9.4 on decode it as null, and then check the signature of a content that has
// the word "null" in its place.
func (c *command) str(name, v string) {
	if v == "" {
		return
	}
	c.fields[c.n] = field{name: name, text: v}
	c.n++
}

func (c *command) num(name string, v int64) {
	c.fields[c.n] = field{name: name, num: v, isNum: true}
	c.n++
}

func (c *command) flagged(name string, v bool) {
	if v {
		c.str(name, "true")
	} else {
		c.str(name, "false")
	}
}

func (c *command) version() int32 {
	if c.old {
		return versionUnsignedFlag
	}
	return versionOrdinal
}

// maxDigits is the length of the longest int64.
const maxDigits = 20

// size is an upper bound of the binary frame's length. JSON may be longer.
func (c *command) size() int {
	n := frameHead + binaryHead + len(c.body)
	for _, f := range c.fields[:c.n] {
		n += 6 + len(f.name) + len(f.text)
		if f.isNum {
			n += maxDigits
		}
	}
	return n
}
