package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

func (*versionCommand) run(stdout, stderr io.Writer) (code int) {
	if _, err := fmt.Fprintf(stdout, "rocketmqtt %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		complain(stderr, err)
		return exitFailed
	}
	return exitStopped
}

// version is what the Go tool stamped into the binary: the tag, or a pseudo-version of the commit.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || b.Main.Version == "" {
		return "unknown"
	}
	return b.Main.Version
}
