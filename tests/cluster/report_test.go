package cluster

import (
	"fmt"
	"slices"
	"time"
)

// report logs what happened.
func (c *crowd) report() {
	c.t.Helper()
	var connects, takeovers, aways []time.Duration
	messages, again, conns := 0, 0, 0
	refused := map[string]int{}
	for _, r := range c.roamers {
		r.mu.Lock()
		connects, takeovers, aways = append(connects, r.waits...), append(takeovers, r.takeover...), append(aways, r.aways...)
		conns += r.conns
		for why, n := range r.refused {
			refused[why] += n
		}
		r.mu.Unlock()
	}
	for _, r := range c.readers {
		messages += r.arrived()
		again += r.again
	}
	c.t.Logf("%d deliveries, %d again; %d connections; CONNECT to CONNACK %s; from CONNECT to the end of the connection that was taken over %s; without a connection %s; CONNECTs refused: %v",
		messages, again, conns, quantiles(connects), quantiles(takeovers), quantiles(aways), refused)
}

// quantiles says how long something took.
func quantiles(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[int(q*float64(len(d)-1))].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v p99 %v max %v", at(0.5), at(0.99), at(1))
}
