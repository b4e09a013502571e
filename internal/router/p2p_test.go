package router

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// What is addressed to a client comes once, whatever else of it matches, and to those that subscribe to it as well.
func TestAddress(t *testing.T) {
	r := New()
	one, plain, other := &target{}, &target{}, &target{}
	p2p := &Subscription{Target: one, Filter: "p2p"}
	r.Address("c", p2p)
	r.Add(&Subscription{Target: one, Filter: "t/#"})
	r.Add(&Subscription{Target: plain, Filter: "t/p2p/c"})
	r.Address("d", &Subscription{Target: other, Filter: "p2p"})
	r.Deliver([]store.Record{at(0, "t/p2p/c"), at(1, "x/p2p/c/y"), at(2, "/p2p/c/"), at(3, "t/p2p/e"), at(4, "t/p2pc/c")})
	one.want(t, "t/p2p/c p2p t/#", "x/p2p/c/y p2p", "/p2p/c/ p2p", "t/p2p/e t/#", "t/p2pc/c t/#")
	plain.want(t, "t/p2p/c t/p2p/c")
	other.want(t)
	r.Unaddress("c", &Subscription{Target: one}) // an older one of this client
	r.Deliver([]store.Record{at(5, "x/p2p/c")})
	one.want(t, "x/p2p/c p2p")
	r.Unaddress("c", p2p)
	r.Deliver([]store.Record{at(6, "x/p2p/c"), at(7, "t/p2p/c")})
	one.want(t, "t/p2p/c t/#")
}
