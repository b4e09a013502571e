package rocketmq

import "testing"

// A queue that goes back gives its new messages logical offsets above all that were handed out, and what is gone is passed over.
func TestOffsets(t *testing.T) {
	var o offsets
	check := func(step string, logical, broker int64) {
		t.Helper()
		if got := o.logical(broker); got != logical {
			t.Errorf("%s: RocketMQ's offset %d is logical %d, want %d", step, broker, got, logical)
		}
		if got := o.broker(logical); got != broker {
			t.Errorf("%s: logical %d is RocketMQ's offset %d, want %d", step, logical, got, broker)
		}
	}
	gone := func(step string, logical, next int64) {
		t.Helper()
		if got := o.broker(logical); got != next {
			t.Errorf("%s: logical %d, which is gone, goes on at %d, want %d", step, logical, got, next)
		}
	}
	check("new", 7, 7)
	o.wentBack(900, 1000) // 900 to 999 are lost
	check("once", 899, 899)
	check("once", 1000, 900)
	check("once", 1050, 950)
	gone("once", 900, 900)
	gone("once", 999, 900)
	o.wentBack(920, 1100) // now of the second 900 on, 20 are left
	check("twice", 899, 899)
	check("twice", 1019, 919)
	check("twice", 1100, 920)
	gone("twice", 1020, 920)
	gone("twice", 950, 900)
	o.wentBack(850, 1200) // below the first bend
	check("thrice", 849, 849)
	check("thrice", 1200, 850)
	gone("thrice", 899, 850)
	gone("thrice", 1099, 850)
	o.wentBack(0, 2000) // all is lost
	check("all", 2000, 0)
	gone("all", 5, 0)
}

// forget keeps what the queue still has.
func TestOffsetsForget(t *testing.T) {
	var o offsets
	o.forget(10)
	o.wentBack(100, 200)
	o.wentBack(150, 300)
	o.forget(120)
	if got := o.logical(120); got != 220 {
		t.Errorf("logical offset %d, want 220", got)
	}
	o.forget(1000)
	if got := o.logical(1000); got != 1150 {
		t.Errorf("logical offset %d, want 1150", got)
	}
}
