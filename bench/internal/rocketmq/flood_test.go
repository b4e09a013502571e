package rocketmq

import "testing"

// A flood has messages of one queue in a request, and each queue as often as it has messages.
func TestTurns(t *testing.T) {
	all := []Message{{queue: 3}, {queue: 5}, {queue: 3}}
	turns := newTurns(all)
	count := map[*Message]int{}
	for range 4 {
		for i := range all {
			got := turns.take(nil, 2)
			if len(got) != 2 || got[0].queue != all[i].queue || got[1].queue != all[i].queue {
				t.Fatalf("request %d: %v", i, got)
			}
			count[got[0]]++
			count[got[1]]++
		}
	}
	for i := range all {
		if count[&all[i]] != 8 {
			t.Errorf("message %d was sent %d times, want 8", i, count[&all[i]])
		}
	}
}
