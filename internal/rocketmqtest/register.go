package rocketmqtest

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

const (
	updateConfig  = 25                     // RequestCode.UPDATE_BROKER_CONFIG
	registerAgain = 100 * time.Millisecond // between two requests to register
)

// isReady reports whether the broker serves and the name server knows it, and makes it register when only that lacks.
func (b *Broker) isReady(ctx context.Context) (bool, error) {
	known, err := b.c.registered(ctx, b.Addr)
	if err != nil || !accepts(ctx, b.Addr) {
		return false, nil // asked again
	}
	if known || time.Since(b.told) < registerAgain {
		return known, nil
	}
	b.told = time.Now()
	return false, b.register(ctx)
}

// register has a broker register now: whoever changes brokerPermission, if only to what it is, makes a broker do
// so (AdminBrokerProcessor.updateBrokerConfig).
//
// It registers when it starts, but 5.x often to nobody: BrokerController.start takes the name servers from a list of those that answer, which another thread of NettyRemotingClient
// fills 100 ms after it began. The sooner the rest is done, the more often that list is empty yet. The next time is 10 s later, and no setting changes that.
func (b *Broker) register(ctx context.Context) error {
	body := []byte("brokerPermission=" + cmp.Or(b.conf["brokerPermission"], "6") + "\n")
	fields := map[string]string{}
	if b.c.opts.ACL != nil {
		signed(fields, body, b.c.opts.ACL)
	}
	a, err := b.c.ask(ctx, b.Addr, updateConfig, fields, body)
	if err == nil && a.Code != 0 {
		err = fmt.Errorf("%s answered %d to a change of its configuration: %s", b.Name, a.Code, a.Remark)
	}
	return err
}
