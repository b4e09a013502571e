package rocketmq

import (
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// store.P2P stands for what is followed from the start: the static topics, those that are listed, and the default topic with them. It has nothing more followed.
func TestP2PTopics(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	if all := s.topicsOf(store.P2P); len(all) != 0 {
		t.Errorf("nothing is followed: %v", all)
	}
	if v, err := s.Watch(store.P2P); err != nil || len(v) != 0 {
		t.Errorf("%v, %v", v, err)
	}
	s.Unwatch(store.P2P)
	s.opts.StaticFirstTopics, s.opts.DefaultTopic = []string{"b", "a"}, "d"
	s.listed.Store(&[]string{"c", "a"})
	if all := s.topicsOf(store.P2P); !slices.Equal(all, []string{"a", "b", "c", "d"}) {
		t.Errorf("%v", all)
	}
	if v, err := s.Watch(store.P2P); err != nil || len(v) != 0 {
		t.Errorf("nothing is set up: %v, %v", v, err)
	}
	if all := s.watched(); len(all) != 0 {
		t.Errorf("watched: %v", all)
	}
}
