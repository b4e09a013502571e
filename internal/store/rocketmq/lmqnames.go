package rocketmq

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// Light queues (LMQ) are what the Java proxy's clients read: a message has the names of its light queues in INNER_MULTI_DISPATCH, separated by
// commas, and the broker adds an entry to each. They are (org.apache.rocketmq.mqtt.ds.meta.WildcardManager.matchQueueSetByMsgTopic):
//
//	t1/a           %LMQ%t1%a%          the topic with a slash behind it (TopicUtils.normalizeTopic), slashes as '%'
//	t1             %LMQ%t1             but not behind a first level alone
//	/t1/a          %LMQ%%t1%a%
//	t1/p2p/c/x     %LMQ%%p2p%c%        nothing else: it is for the client c
//	               %LMQ%t1%+%          and those of the filters that match, of the wildcards that are registered for the first level
//
// What is in a name is the publisher's choice, and one name can stop a broker's dispatch for all: a comma or a name longer than a file's
// name may be. So a name that is not certainly harmless is left out (LMQLeftOut). No Java proxy could read that queue either.
const (
	propDispatch        = "INNER_MULTI_DISPATCH"
	propDispatchOffsets = "INNER_MULTI_QUEUE_OFFSET" // added by the broker: a number for each name

	lmqPrefix    = "%LMQ%"        // MixAll.LMQ_PREFIX
	lmqRetry     = "%LMQ%%retry%" // TopicUtils.getRetryTopic
	lmqSeparator = ','            // MixAll.MULTI_DISPATCH_QUEUE_SPLITTER
	maxLMQName   = 255            // bytes: it is the name of a directory in the broker's store
	offsetRoom   = 20             // bytes that the broker may add to a message for each name
)

// wildcard is a filter that is registered for the Java proxies.
type wildcard struct {
	filter string // without slashes at its end
	name   string // of its light queue; harmless
}

// newWildcard is false for what is no filter with a wildcard, or has no harmless name. Java does not look at slashes at the end.
func newWildcard(filter string) (wildcard, bool) {
	w := wildcard{filter: strings.TrimRight(filter, "/")}
	if !topic.HasWildcard(w.filter) || !topic.ValidFilter(w.filter) || !utf8.ValidString(w.filter) {
		return w, false
	}
	name, ok := appendLMQ(nil, w.filter)
	w.name = string(name)
	return w, ok
}

// appendLMQ appends the name of the light queue of an MQTT topic or filter; false, and dst as it was, when it might do harm.
func appendLMQ(dst []byte, queue string) ([]byte, bool) {
	from := len(dst)
	dst = append(dst, lmqPrefix...)
	for i := range len(queue) {
		c := queue[i]
		if c == '/' {
			c = '%'
		}
		dst = append(dst, c)
	}
	if strings.IndexByte(queue, '/') >= 0 && queue[len(queue)-1] != '/' {
		dst = append(dst, '%')
	}
	if !harmless(dst[from:]) {
		return dst[:from], false
	}
	return dst, true
}

// harmless tells whether a broker can keep a light queue of that name, whatever other names stand beside it.
func harmless(name []byte) bool {
	if len(name) > maxLMQName || !utf8.Valid(name) || bytes.IndexByte(name, lmqSeparator) >= 0 {
		return false
	}
	return bytes.IndexFunc(name, unicode.IsControl) < 0
}

// appendDispatch appends the names of the light queues of a message that is published to a topic, as the value of INNER_MULTI_DISPATCH. wildcards
// are those of its first level, of different names. Names and what the broker adds for them take room bytes at most. may is asked whether there may be a queue
// whose name the publisher chose. left is how many were left out, since they might do harm, may not be, or there is no room.
func appendDispatch(dst []byte, name string, wildcards []wildcard, room int, may func(name string) bool) (out []byte, n, left int) {
	d := dispatch{value: dst, from: len(dst), room: room, may: may}
	if client, is := topic.P2P(name); is {
		if client != "" {
			d.add("/p2p/" + client)
		}
		return d.value, d.n, d.left
	}
	exact := d.exact(name)
	trimmed := strings.TrimRight(name, "/")
	for i := range wildcards {
		if w := &wildcards[i]; w.name != exact && topic.Match(w.filter, trimmed) {
			d.put(w.name)
		}
	}
	return d.value, d.n, d.left
}

// dispatch is a value of INNER_MULTI_DISPATCH in the making.
type dispatch struct {
	value   []byte
	from    int // where it begins
	room    int
	may     func(name string) bool
	n, left int
}

// exact adds the light queue of the topic itself, and returns its name. Those of clients are not reached that way: p2p has topics of its
// own, and a retry queue is its proxy's.
func (d *dispatch) exact(name string) string {
	if strings.HasPrefix(name, "/p2p/") || strings.HasPrefix(name, "/retry/") {
		d.left++
		return ""
	}
	return d.add(name)
}

// add adds the light queue of a topic, and returns its name; "": it was left out.
func (d *dispatch) add(queue string) string {
	var buf [maxLMQName + 1]byte
	if len(queue) > maxLMQName {
		d.left++
		return ""
	}
	b, ok := appendLMQ(buf[:0], queue)
	name := string(b)
	if !ok || !d.may(name) {
		d.left++
		return ""
	}
	return d.put(name)
}

// put adds a name, if there is room, and returns it.
func (d *dispatch) put(name string) string {
	need := len(name) + 1 + offsetRoom
	if need > d.room {
		d.left++
		return ""
	}
	d.room -= need
	if len(d.value) > d.from {
		d.value = append(d.value, lmqSeparator)
	}
	d.value = append(d.value, name...)
	d.n++
	return name
}
