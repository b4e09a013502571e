package router

import "github.com/rocketmqtt/rocketmqtt/internal/topic"

// Address routes messages of p2p topics that are addressed to a client (topic.Addressee) to s, whose Filter does not count. A client has one such
// subscription. What another one of its target matches as well comes once.
func (r *Router) Address(client string, s *Subscription) { r.p2p.Store(client, s) }

// Unaddress takes s out, if it is there; see Remove.
func (r *Router) Unaddress(client string, s *Subscription) { r.p2p.CompareAndDelete(client, s) }

// addressed is the subscription of the client that a topic is addressed to; nil: there is none.
func (r *Router) addressed(name string) *Subscription {
	client := topic.Addressee(name)
	if client == "" {
		return nil
	}
	s, ok := r.p2p.Load(client)
	if !ok {
		return nil
	}
	return s.(*Subscription)
}
