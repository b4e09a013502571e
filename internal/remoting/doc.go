// Package remoting is a client of RocketMQ's remoting protocol: name servers and brokers of 4.9 and 5.x.
//
//	c, err := remoting.New(remoting.Options{Namesrv: []string{"127.0.0.1:9876"}})
//	defer c.Close()
//	route, err := c.Route(ctx, "orders")
//	addr, _ := route.Master("broker-a")
//	c.Send(addr, &remoting.SendRequest{Topic: "orders", Body: b}, time.Now().Add(3*time.Second), func(r remoting.SendResult, err error) { ... })
//
// # Frames
//
//	+--------+-----------------+----------------+--------+------+
//	| length | type(1) hlen(3) |     header     |        body   |
//	+--------+-----------------+----------------+--------+------+
//	  4 bytes      4 bytes          hlen bytes    length - 4 - hlen
//
// The header is JSON (type 0) or binary (type 1, class RocketMQSerializable). A request is written in binary when its
// code fits 16 bits, in JSON when it does not. Answers are understood in both.
//
// # Connections
//
// For each address there are at most two connections ([Link]): sends never wait behind the answers of pulls. A connection is
// made when the first request needs it, by the connection's own goroutine: no call waits for a dial that must not block.
// Requests are encoded straight into the connection's outgoing buffer; one goroutine writes whatever came together
// in one system call, one reads answers, one looks after deadlines. Close waits for all of them.
//
// # Promises
//
//   - A callback is called exactly once, with no lock held: on the goroutine that reads the connection, on that of its
//     deadlines, on that which found the connection lost, or, when the request is refused at once, on the caller's
//     before the call returns. It must not block: the connection's other answers wait for it.
//   - Send and Pull never block. Full (too many requests without an answer, or too many bytes not written) is an error that
//     is [ErrFull] and [ErrNotSent], at once.
//   - What a call was given (request, body, strings) may be reused as soon as the call has returned: it was copied.
//   - Every error says whether the peer may have acted: see [ErrNotSent], [ErrUnknown] and [ResponseError].
//   - Requests over one link to one address are written in the order of the calls, while its [Client.Generation] stays.
package remoting
