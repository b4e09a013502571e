package load

// subscriber is the state of a connection that subscribes.
type subscriber struct {
	first     uint32
	sequences []sequence
}

func newSubscriber(s Subscriber) *subscriber {
	return &subscriber{first: uint32(s.First), sequences: make([]sequence, s.Streams)}
}

// of is the sequence of a stream; nil: it is none of this subscriber's.
func (s *subscriber) of(stream uint32) *sequence {
	if i := stream - s.first; i < uint32(len(s.sequences)) {
		return &s.sequences[i]
	}
	return nil
}
