package rocketmq

import "testing"

// A queue that goes back gives its new messages logical offsets above all that were handed out, and what is gone is passed over.
func TestOffsets(t *testing.T) {
	var o offsets
	wentBack := func(back int64) { list := o.with(back); o.bends.Store(&list) }
	const once, twice, thrice, all = 1 << numberShift, 2 << numberShift, 3 << numberShift, 4 << numberShift
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
	wentBack(900)
	check("once", 899, 899)
	check("once", once+900, 900)
	check("once", once+950, 950)
	gone("once", 900, 900)
	gone("once", 999, 900)
	wentBack(920) // of the second 900 on, 20 are left
	check("twice", 899, 899)
	check("twice", once+919, 919)
	check("twice", twice+920, 920)
	gone("twice", once+920, 920)
	gone("twice", 950, 900)
	wentBack(850) // below the first bend
	check("thrice", 849, 849)
	check("thrice", thrice+850, 850)
	gone("thrice", 899, 850)
	gone("thrice", twice+999, 850)
	wentBack(0) // all is lost
	check("all", all, 0)
	gone("all", 5, 0)
	if n := o.number(); n != 4 {
		t.Errorf("it went back %d times, want 4", n)
	}
}

// forget keeps what the queue still has.
func TestOffsetsForget(t *testing.T) {
	var o offsets
	o.forget(10)
	for _, back := range []int64{100, 150} {
		list := o.with(back)
		o.bends.Store(&list)
	}
	o.forget(120)
	if got, want := o.logical(120), int64(1<<numberShift+120); got != want {
		t.Errorf("logical offset %d, want %d", got, want)
	}
	o.forget(1000)
	if got, want := o.logical(1000), int64(2<<numberShift+1000); got != want {
		t.Errorf("logical offset %d, want %d", got, want)
	}
}
