package local

// Keys of the view beside those of package view.
//
//	"0"                              state: what the view reflects
//	"f"                              first: the oldest offset that is kept
//	"i" block                        topics of a block of offsets (index.go)
//	"m" topic                        a retained message (retained.go)
//	"n" first level                  how many retained messages are below it
//	"o" offset                       the topic whose retained message stands there
const (
	keyState      = '0'
	keyFirst      = 'f'
	keyIndex      = 'i'
	keyRetained   = 'm'
	keyRetaining  = 'n'
	keyRetainedAt = 'o'
)
