package proxy

import (
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/events"
	"github.com/rocketmqtt/rocketmqtt/internal/metrics"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/server"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/retained"
	"github.com/rocketmqtt/rocketmqtt/internal/store/rocketmq"
)

// number gives every number in v another value, from *n on, and calls each with what it is.
func number(v reflect.Value, path string, n *int64, each func(path string, n int64)) {
	next := func() int64 { *n++; each(path, *n); return *n }
	switch at := v.Addr().Interface().(type) {
	case *atomic.Int64:
		at.Store(next())
		return
	case *time.Time:
		*at = time.Unix(next(), 0)
		return
	case *local.Histogram:
		*at = local.Histogram{Sum: float64(next())}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name != "_" {
				number(v.Field(i), path+"."+f.Name, n, each)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			number(v.Index(i), path, n, each)
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(next())
	case reflect.Uint64:
		v.SetUint(uint64(next()))
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(path)
	}
}

// found calls each with every number in v.
func found(v reflect.Value, each func(n int64)) {
	switch at := v.Interface().(type) {
	case time.Time:
		each(at.Unix())
		return
	case metrics.Histogram:
		each(int64(at.Sum))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			found(v.Field(i), each)
		}
	case reflect.Array:
		for i := range v.Len() {
			found(v.Index(i), each)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			found(v.Elem(), each)
		}
	case reflect.Int, reflect.Int64:
		each(v.Int())
	}
}

// Whatever the packages count is shown, each in its own place: a counter that is added to them is not forgotten here.
func TestEveryCounterIsShown(t *testing.T) {
	var (
		n    int64
		srv  server.Stats
		ses  session.Stats
		now  session.Survey
		st   local.Stats
		rmq  rocketmq.Stats
		chg  changelog.Stats
		ret  retained.Stats
		rmt  remoting.Stats
		evt  events.Stats
		want = map[int64]string{}
		note = func(path string, n int64) { want[n] = path }
	)
	number(reflect.ValueOf(&srv).Elem(), "server.Stats", &n, note)
	number(reflect.ValueOf(&ses).Elem(), "session.Stats", &n, note)
	number(reflect.ValueOf(&now).Elem(), "session.Survey", &n, note)
	number(reflect.ValueOf(&st).Elem(), "local.Stats", &n, note)
	number(reflect.ValueOf(&rmq).Elem(), "rocketmq.Stats", &n, note)
	number(reflect.ValueOf(&chg).Elem(), "changelog.Stats", &n, note)
	number(reflect.ValueOf(&ret).Elem(), "retained.Stats", &n, note)
	number(reflect.ValueOf(&rmt).Elem(), "remoting.Stats", &n, note)
	number(reflect.ValueOf(&evt).Elem(), "events.Stats", &n, note)

	var s metrics.Snapshot
	fillServer(&s, srv)
	fillSessions(&s, &ses, now)
	fillStore(&s, st)
	s.RocketMQ = &metrics.RocketMQ{}
	fillRocketMQ(s.RocketMQ, &rmq)
	fillChangelog(&s.RocketMQ.Sessions, &chg)
	fillRetained(&s.RocketMQ.Retained, &ret)
	fillClient(s.RocketMQ, rmt)
	s.Events = &metrics.Events{}
	fillEvents(s.Events, &evt)
	times := map[int64]int{}
	found(reflect.ValueOf(s), func(n int64) { times[n]++ })
	for n, path := range want {
		if times[n] != 1 {
			t.Errorf("%s is in the snapshot %d times", path, times[n])
		}
	}
	if !s.Store.Full {
		t.Error("it is not full")
	}
}

// Before everything is there the process is alive and not ready, and has nothing to show.
func TestStarting(t *testing.T) {
	p := &Proxy{}
	if err := p.isReady(); err == nil || p.alive() != nil || p.snapshot() != nil {
		t.Errorf("ready %v, alive %v, snapshot %v", err, p.alive(), p.snapshot())
	}
}
