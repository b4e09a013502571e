package changelog

import (
	"fmt"
	"strings"
	"time"
)

// simTrace keeps the last steps. Nothing is formatted until it is printed.
type simTrace struct {
	ring [8192]simNote
	n    int
}

type simNote struct {
	at   time.Duration // since the simulation began
	step int
	what string
	node int // -1: none
	q    int
	name string
	args [5]int64
}

// What is noted; the arguments follow in the order of the words in brackets.
const (
	stepStored   = "stored [kind offset base writer number]"
	stepWentBack = "the log goes back [to from]"
	stepTrim     = "what is old is written again and dropped"
	stepRead     = "reads [from to of]"
	stepBegin    = "has read all there was"
	stepRebuild  = "builds its view again [from lost]"
	stepStart    = "starts [with its disk]"
	stepCrash    = "crashes [writes late]"
	stepStop     = "stops in good order"
	stepPause    = "pauses [ms]"
	stepCut      = "is cut off from the queue"
	stepMend     = "is not cut off any more"
	stepConnect  = "connect [clean principal]"
	stepAnnounce = "announce [principal]"
	stepJoined   = "owns the client now [there was a session, connect's seq]"
	stepRefused  = "connect is refused"
	stepAbandon  = "is abandoned by its device"
	stepTaken    = "is told that the client is taken"
	stepChange   = "change [kind a b]"
	stepTold     = "told that it counts [kind seq]"
	stepVoid     = "told that it does not count [kind]"
	stepFenced   = "is fenced [seq]"
	stepExpired  = "ends a session whose time is over"
	stepRenew    = "renews"
	stepClaim    = "claims a will [will again]"
	stepMessage  = "the message of a will is stored [will, says that it was sent before, is taken for a second copy]"
	stepLoad     = "its session is looked at"
	stepHeal     = "all is well from now on"
)

var simKinds = [...]string{"", "beat", "fence", "connect", "take", "final", "changes", "left", "state", "will"}

func (s *sim) note(what string, node, q int, name string, args ...int64) {
	e := &s.trace.ring[s.trace.n%len(s.trace.ring)]
	*e = simNote{at: s.now.Sub(simEpoch), step: s.steps, what: what, node: node, q: q, name: name}
	copy(e.args[:], args)
	s.trace.n++
}

// tell is the last steps, the latest one at the end, and before them those that are about what is named in failure.
func (t *simTrace) tell(failure string) string {
	const last = 100
	var b strings.Builder
	for i := max(0, t.n-len(t.ring)); i < t.n; i++ {
		e := &t.ring[i%len(t.ring)]
		if i >= t.n-last || e.name != "" && strings.Contains(failure, e.name) || e.isOfMany() {
			e.tell(&b)
		}
	}
	return b.String()
}

// isOfMany says whether it is about more than one client.
func (e *simNote) isOfMany() bool {
	switch e.what {
	case stepWentBack, stepRebuild, stepStart, stepCrash, stepStop, stepFenced, stepHeal:
		return true
	}
	return false
}

func (e *simNote) tell(b *strings.Builder) {
	fmt.Fprintf(b, "%7d %9.3fs q%d ", e.step, e.at.Seconds(), e.q)
	if e.node >= 0 {
		fmt.Fprintf(b, "node %d ", e.node)
	}
	if e.name != "" {
		fmt.Fprintf(b, "%q ", e.name)
	}
	fmt.Fprintf(b, "%s %d", e.what, e.args)
	if e.what == stepStored {
		fmt.Fprintf(b, " %s", simKinds[e.args[0]])
	}
	b.WriteByte('\n')
}

// simFailure is what a simulation panics with.
type simFailure struct{ what string }

func (s *sim) failf(format string, args ...any) {
	panic(simFailure{fmt.Sprintf(format, args...)})
}
