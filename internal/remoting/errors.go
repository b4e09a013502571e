package remoting

import (
	"errors"
	"fmt"
)

// What became of a request. Every error of a request to one address is an [*Error] that is one of the first two, or a
// [*ResponseError]; ErrFull and ErrClosed come beside them, as the cause.
var (
	// ErrNotSent says that the peer got nothing of the request, for certain: it may be sent again anywhere.
	ErrNotSent = errors.New("not sent")
	// ErrUnknown says that the request was written, or a part of it, and no answer came: the connection was lost or the
	// deadline passed. The peer may have acted, or may act yet.
	ErrUnknown = errors.New("outcome unknown")
	// ErrFull says that the connection has too many requests without an answer or too many bytes not written. It is ErrNotSent too.
	ErrFull = errors.New("too much is waiting on the connection")
	// ErrClosed says that the client is closed.
	ErrClosed = errors.New("client is closed")
	// ErrTopicNotExist says that the name servers know no route of a topic (code 17). They know none for a while after the topic was created.
	ErrTopicNotExist = errors.New("topic has no route")
	// ErrNoOffset says that a consumer group has no offset of a queue (code 22).
	ErrNoOffset = errors.New("no offset is stored")
	// ErrNotFound says that what was asked for is not there: a key of a name server, a topic's config, a message.
	ErrNotFound = errors.New("not found")
)

// Error is a request that got no answer.
type Error struct {
	Addr string // of the peer
	Kind error  // ErrNotSent or ErrUnknown
	Err  error  // the cause
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("request to %s: %v: %v", e.Addr, e.Kind, e.Err) }

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

func notSent(addr string, err error) error { return &Error{Addr: addr, Kind: ErrNotSent, Err: err} }
func unknown(addr string, err error) error { return &Error{Addr: addr, Kind: ErrUnknown, Err: err} }
