package rocketmq

import "testing"

// A first copy is a second one only behind the one that was sent again: who reads on from an earlier place gets the first.
func TestLateKeys(t *testing.T) {
	var l lateKeys
	key := []byte("k")
	l.add(key, 10, 1000, 100)
	if !l.before(key, 11) || l.before(key, 9) || l.before([]byte("other"), 11) {
		t.Error("the key is not known behind its offset alone")
	}
	l.add([]byte("next"), 20, 1101, 100)
	if !l.before(key, 11) {
		t.Error("forgotten too early")
	}
	l.add([]byte("last"), 30, 1300, 100)
	if l.before(key, 11) {
		t.Error("never forgotten")
	}
}
