//go:build !unix

package server

import "math"

// openFiles is how many descriptors this process may have: there is no limit to ask for.
func openFiles() uint64 { return math.MaxUint64 }
