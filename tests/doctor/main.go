// Command doctor says which programs the tests need and do not find, and how to get them. With CI=true a missing one
// is an error; otherwise the tests leave out the cases that need it.
package main

import (
	"fmt"
	"os"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

func main() { os.Exit(run()) }

func run() int {
	missing := 0
	for _, t := range tools.All() {
		if err := t.Missing(); err != nil {
			fmt.Fprintln(os.Stderr, "missing:", err)
			missing++
		}
	}
	switch {
	case missing == 0:
		return 0
	case tools.InCI():
		fmt.Fprintln(os.Stderr, "CI=true: every test must run")
		return 1
	}
	fmt.Fprintln(os.Stderr, "the tests that need them are left out")
	return 0
}
