package rocketmq

import (
	"bytes"
	"errors"
)

// errRetry is what is wrong with a message that a Java proxy has written for one client of its own to have once more: everybody else has had it.
var errRetry = errors.New("a Java proxy sends it once more, to one of its clients")

// lmqTopic is the topic that the names of a message's light queues tell, when nothing else does: the last one without a wildcard counts, as in
// the Java proxy (LmqQueueStoreManager.toLmqMessage). That delivers with a slash at the end, t1/r1/, since it takes topics with and without one for
// the same. Here they are two, and clients subscribe to t1/r1: so the slash goes, but of private queues (/p2p/client/). nil: there is none.
// keep makes a copy that may be written to.
func lmqTopic(names []byte, keep func([]byte) []byte) []byte {
	var last []byte
	eachLMQ(names, func(name []byte) {
		if queue := bytes.TrimPrefix(name, []byte(lmqPrefix)); len(queue) > 0 && !bytes.ContainsAny(queue, "+#") {
			last = queue
		}
	})
	if last == nil {
		return nil
	}
	name := keep(last)
	for i, c := range name {
		if c == '%' {
			name[i] = '/'
		}
	}
	if end := len(name) - 1; end > 0 && name[end] == '/' && !bytes.HasPrefix(name, []byte("/p2p/")) {
		name = name[:end]
	}
	return name
}

// onlyRetry tells whether all light queues of a message are those that clients of Java proxies have for what they did not acknowledge.
func onlyRetry(names []byte) bool {
	only := len(names) > 0
	eachLMQ(names, func(name []byte) { only = only && bytes.HasPrefix(name, []byte(lmqRetry)) })
	return only
}

func eachLMQ(names []byte, f func(name []byte)) {
	for more := len(names) > 0; more; {
		var name []byte
		name, names, more = bytes.Cut(names, []byte{lmqSeparator})
		f(name)
	}
}
