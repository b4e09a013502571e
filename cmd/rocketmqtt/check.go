package main

import "io"

type checkCommand struct {
	source
}

func (c *checkCommand) run(stdout, stderr io.Writer) (code int) {
	_, report, err := c.load()
	if werr := report.Write(stdout); werr != nil {
		complain(stderr, werr)
		return exitFailed
	}
	if err != nil {
		complain(stderr, err)
		return exitFailed
	}
	return exitStopped
}
