package remoting

import "sync/atomic"

// Stats counts what went wrong since the client was made.
type Stats struct {
	Refused uint64 // requests that found no room (ErrFull) or were too large
	Expired uint64 // requests whose deadline passed
	Stray   uint64 // answers to no pending request: late, twice, or never asked for
	Foreign uint64 // requests of a peer to us
	Lost    uint64 // connections lost, dials that failed included
}

type stats struct{ refused, expired, stray, foreign, lost atomic.Uint64 }

// Stats reads the counters.
func (c *Client) Stats() Stats {
	s := &c.stats
	return Stats{
		Refused: s.refused.Load(), Expired: s.expired.Load(), Stray: s.stray.Load(),
		Foreign: s.foreign.Load(), Lost: s.lost.Load(),
	}
}
