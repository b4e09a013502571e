package remoting

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestRetriable(t *testing.T) {
	for _, test := range []struct {
		code   int32
		remark string
		want   bool
	}{
		{2, "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 202ms, size of queue: 9", true},
		{2, "[REJECTREQUEST]system busy, start flow control for a while", true},
		{14, "service not available now", true},
		{215, "", true},
		{1500, "please go away", true},
		{1, "[PC_SYNCHRONIZED]broker busy, start flow control for a while", true},
		{1, "create mapped file failed, server is busy or broken.", true},
		{1, "in-sync replicas not enough", true},
		{1, "broker unable to service, until 2026-01-01 00:00:00,000", true},
		{1, "UNKNOWN_ERROR", false},
		{1, "java.lang.NullPointerException", false},
		{3, "not supported", false},
		{13, "the message is illegal", false},
		{16, "the broker sending message is forbidden", false},
		{17, "topic not exist", false},
		{29, "queueId is illegal", false},
	} {
		err := &ResponseError{Code: test.code, Remark: test.remark}
		if err.Retriable() != test.want {
			t.Errorf("%v: retriable %v", err, err.Retriable())
		}
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	err := fmt.Errorf("around it: %w", notSent("a:1", fmt.Errorf("%w: 4096", ErrFull)))
	var e *Error
	if !errors.Is(err, ErrNotSent) || !errors.Is(err, ErrFull) || errors.Is(err, ErrUnknown) || !errors.As(err, &e) || e.Addr != "a:1" {
		t.Errorf("%v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no port":       {Namesrv: []string{"localhost"}},
		"negative":      {MaxPending: -1},
		"large frame":   {MaxFrame: 1 << 40},
		"queue < frame": {MaxFrame: 1000, MaxQueued: 999},
		"no secret":     {Credentials: Credentials{AccessKey: "a"}},
		"timeout":       {DialTimeout: -time.Second},
		"backoff":       {BackoffMin: time.Minute, BackoffMax: time.Second},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
