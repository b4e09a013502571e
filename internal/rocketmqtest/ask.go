package rocketmqtest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	askTimeout  = 10 * time.Second // for an answer that takes milliseconds, on a machine that is busy
	maxAnswer   = 1 << 20
	clusterInfo = 106 // RequestCode.GET_BROKER_CLUSTER_INFO
)

// answer is what a server says to a request.
type answer struct {
	Code   int               `json:"code"`
	Remark string            `json:"remark"`
	Fields map[string]string `json:"extFields"`

	body []byte
}

// registered asks the name server whether it knows a broker of that address; with "" just whether it answers.
func (c *Cluster) registered(ctx context.Context, addr string) (bool, error) {
	a, err := c.ask(ctx, c.Namesrv(), clusterInfo, nil, nil)
	if err != nil {
		return false, err
	}
	return a.Code == 0 && strings.Contains(string(a.body), `"`+addr+`"`), nil
}

// ask sends one request on a connection of its own. The kit has this much of RocketMQ's protocol (RemotingCommand, with the header in JSON) so
// that it does not depend on what it is to test.
func (c *Cluster) ask(ctx context.Context, addr string, code int, fields map[string]string, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	nc, err := c.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = nc.Close() }()
	deadline, _ := ctx.Deadline()
	if err := nc.SetDeadline(deadline); err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]any{
		"code": code, "language": "JAVA", "version": 0, "opaque": 1, "flag": 0, "serializeTypeCurrentRPC": "JSON", "extFields": fields,
	})
	if err != nil {
		return nil, err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(body)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header))) // high byte 0: JSON
	if _, err := nc.Write(append(append(frame, header...), body...)); err != nil {
		return nil, err
	}
	return readAnswer(nc)
}

func readAnswer(r io.Reader) (*answer, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	total := binary.BigEndian.Uint32(size[:])
	if total < 4 || total > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", total)
	}
	frame := make([]byte, total)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	end := 4 + binary.BigEndian.Uint32(frame)&0xff_ffff
	if end > total {
		return nil, fmt.Errorf("a header of %d bytes in an answer of %d", end-4, total)
	}
	a := &answer{body: frame[end:]}
	return a, json.Unmarshal(frame[4:end], a)
}

// dial connects as the servers want it.
func (c *Cluster) dial(ctx context.Context, addr string) (net.Conn, error) {
	if c.opts.TLS == TLSEnforcing {
		d := tls.Dialer{Config: c.ClientTLS()}
		return d.DialContext(ctx, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// accepts reports whether somebody listens.
func accepts(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = nc.Close()
	return true
}
