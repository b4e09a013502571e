package rocketmqtest

import (
	"net"
	"strconv"
	"testing"
	"time"
)

const (
	sendMessage  = 10 // of RequestCode
	getMaxOffset = 30

	success            = 0 // of ResponseCode
	systemError        = 1
	serviceUnavailable = 14
	noPermission       = 16

	topic    = "rocketmqtest"
	patience = 30 * time.Second
)

// send sends a message to a topic that the broker makes by itself, and returns the answer.
func send(t *testing.T, b *Broker, sign *ACL) *answer {
	t.Helper()
	return sendBody(t, b, []byte("a message"), sign)
}

func sendBody(t *testing.T, b *Broker, body []byte, sign *ACL) *answer {
	t.Helper()
	fields := map[string]string{
		"producerGroup": topic, "topic": topic, "defaultTopic": "TBW102", "defaultTopicQueueNums": "1", "queueId": "0", "sysFlag": "0",
		"bornTimestamp": "0", "flag": "0", "properties": "", "reconsumeTimes": "0", "batch": "false",
	}
	if sign != nil {
		signed(fields, body, sign)
	}
	a, err := b.c.ask(t.Context(), b.Addr, sendMessage, fields, body)
	if err != nil {
		t.Fatalf("send to %s: %v", b.Name, err)
	}
	return a
}

func sends(t *testing.T, b *Broker, sign *ACL) {
	t.Helper()
	if a := send(t, b, sign); a.Code != success {
		t.Fatalf("%s answered a send with %d: %s", b.Name, a.Code, a.Remark)
	}
}

func refusesSend(t *testing.T, b *Broker, sign *ACL, code int) {
	t.Helper()
	if a := send(t, b, sign); a.Code != code {
		t.Errorf("%s answered a send with %d, not %d: %s", b.Name, a.Code, code, a.Remark)
	}
}

// holds waits until the broker has as many messages as that to read; what it has written is readable some milliseconds later.
func holds(t *testing.T, b *Broker, want int64) {
	t.Helper()
	var have int64
	eventually(t, func() bool {
		a, err := b.c.ask(t.Context(), b.Addr, getMaxOffset, map[string]string{"topic": topic, "queueId": "0"}, nil)
		if err != nil || a.Code != success {
			return false
		}
		have, err = strconv.ParseInt(a.Fields["offset"], 10, 64)
		return err == nil && have == want
	}, func() { t.Fatalf("%s holds %d messages, not %d", b.Name, have, want) })
}

func eventually(t *testing.T, ok func() bool, otherwise func()) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			otherwise()
			return
		case <-tick.C:
		}
	}
}

func refuses(t *testing.T, addr string) {
	t.Helper()
	if nc, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = nc.Close()
		t.Fatalf("%s accepts a connection", addr)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
