package remoting

import "fmt"

// ResponseError is an answer that refuses: the peer has read the request, and did not do it unless Retriable says otherwise.
type ResponseError struct {
	Code   int32
	Remark string
	Addr   string
}

// Error implements error.
func (e *ResponseError) Error() string {
	return fmt.Sprintf("%s answered code %d: %s", e.Addr, e.Code, e.Remark)
}

// Retriable says whether the same request may succeed at the same broker a little later.
func (e *ResponseError) Retriable() bool { return e.Code == 2 || e.Code == 14 }
