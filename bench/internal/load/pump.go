package load

import "time"

// pump lets publishers send; more: somebody could send more at once.
func (f *flow) pump() (more bool, err error) {
	if f.spec.Rate > 0 {
		return f.pumpRate()
	}
	allowed := f.allowed()
	if allowed == 0 {
		return false, nil
	}
	share := min(max(allowed/len(f.pubs), 1), burst)
	for range f.pubs {
		p := f.pubs[f.turn]
		f.turn = (f.turn + 1) % len(f.pubs)
		n := f.fill(p, min(share, allowed))
		allowed -= n
		if err := f.flush(p.conn, p.which); err != nil {
			return false, err
		}
		more = more || n == share && allowed > 0
		if allowed == 0 {
			break
		}
	}
	return more, nil
}

// allowed is how many messages all publishers together may send. Little is not worth a system call: it waits until an eighth of
// the credit is there.
func (f *flow) allowed() int {
	left := 1 << 30
	if f.spec.Total > 0 {
		left = f.spec.Total - int(f.sent)
	}
	if f.spec.Credit == 0 || f.fan == 0 {
		return left
	}
	underway := (f.due - f.got - f.result.Lost + f.fan - 1) / f.fan
	n := f.spec.Credit - int(underway)
	if n < max(f.spec.Credit/8, 1) {
		return 0
	}
	return min(n, left)
}

// fill makes up to n messages of one publisher, as many as its window and its buffer have room for.
func (f *flow) fill(p *publisher, n int) (made int) {
	at := f.now()
	for made < n && p.conn.room() && (f.spec.QoS == 0 || p.n > 0) {
		p.publish(f.spec.QoS, at)
		made++
	}
	f.count(made)
	return made
}

func (f *flow) count(made int) {
	f.sent += uint64(made)
	f.due += uint64(made) * f.fan
	if f.begin > 0 && !f.measured {
		f.result.Sent += uint64(made)
	}
}

// pumpRate sends the messages whose time has come. Each bears the time when it was to be sent, not when it was: a broker that
// makes the generator wait is charged with the wait (no coordinated omission).
func (f *flow) pumpRate() (more bool, err error) {
	period := float64(time.Second) / f.spec.Rate
	now := f.now()
	for blocked := 0; blocked < len(f.pubs); {
		at := f.started + int64(float64(f.sent)*period)
		if at > now {
			break
		}
		p := f.pubs[f.turn]
		f.turn = (f.turn + 1) % len(f.pubs)
		if !p.conn.room() || f.spec.QoS > 0 && p.n == 0 {
			blocked++
			continue
		}
		blocked = 0
		p.publish(f.spec.QoS, at)
		f.count(1)
		if f.begin > 0 {
			f.result.Behind.Add(time.Duration(now - at))
		}
	}
	for _, p := range f.pubs {
		if err := f.flush(p.conn, p.which); err != nil {
			return false, err
		}
	}
	return false, nil
}
