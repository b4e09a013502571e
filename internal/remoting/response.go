package remoting

import (
	"fmt"
	"strings"
)

// ResponseError is an answer that refuses a request.
type ResponseError struct {
	Code   int32
	Remark string
	Addr   string
}

// Error implements error.
func (e *ResponseError) Error() string {
	return fmt.Sprintf("%s answered code %d: %s", e.Addr, e.Code, e.Remark)
}

// Retriable says that the peer has done nothing of the request, for certain, and may do it when it is asked again a little later. What is not
// retriable is refused for a reason that lasts, or may have been done.
func (e *ResponseError) Retriable() bool {
	switch e.Code {
	case CodeSystemBusy:
		// [REJECTREQUEST], [OVERLOAD] (NettyRemotingAbstract) and [TIMEOUT_CLEAN_QUEUE], [PCBUSY_CLEAN_QUEUE] (BrokerFastFailure): the
		// request was refused before, or taken out of the queue to, the thread that would have done it.
		return true
	case CodeServiceNotAvailable:
		// The store refused before it appended: disk full, shutting down, or a slave that may become master.
		return true
	case CodeFlowControl:
		// A proxy or broker asks for patience before it does anything.
		return true
	case CodeGoAway:
		// The peer is stopping, and answers so instead of doing it; its successor on the address will.
		return true
	case CodeSystemError:
		return appendRefused(e.Remark)
	}
	// 13, 16, 17, 26, 29: wrong until somebody changes the message, the rights, the topic or the group. 3: an older broker.
	// Anything else is not known to be harmless.
	return false
}

// appendRefused tells, among the many meanings of code 1, those that SendMessageProcessor answers for a message that was not appended and may
// be later. Exceptions of the broker's have this code too, and may come after the append, so the rest is not retriable.
func appendRefused(remark string) bool {
	for _, known := range []string{
		"[PC_SYNCHRONIZED]broker busy",    // OS_PAGE_CACHE_BUSY: checked before the append
		"create mapped file failed",       // CREATE_MAPPED_FILE_FAILED: no file to append to
		"in-sync replicas not enough",     // IN_SYNC_REPLICAS_NOT_ENOUGH: checked before the append
		"broker unable to service, until", // startAcceptSendRequestTimeStamp: the broker has just started
	} {
		if strings.Contains(remark, known) {
			return true
		}
	}
	return false
}
