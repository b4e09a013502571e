package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// frontHeading begins the part of RESULTS.md about RocketMQ, which ends it.
const frontHeading = "# In front of RocketMQ\n"

// results are the two parts of RESULTS.md; "": nothing of it was measured.
type results struct {
	brokers, front string
}

// write writes what was measured. In a file the other part stays as it was; - is standard output.
func (r results) write(name string) error {
	if r == (results{}) {
		return errors.New("nothing was measured: no scenario has that in its name, or all of them were left out")
	}
	if name == "-" {
		_, err := fmt.Print(r)
		return err
	}
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	was := readResults(string(old))
	if r.brokers == "" {
		r.brokers = was.brokers
	}
	if r.front == "" {
		r.front = was.front
	}
	return os.WriteFile(name, []byte(r.String()), 0o644)
}

// readResults takes a file apart.
func readResults(text string) (r results) {
	at := strings.Index("\n"+text, "\n"+frontHeading)
	if at < 0 {
		return results{brokers: text}
	}
	return results{brokers: strings.TrimSuffix(text[:at], "\n"), front: text[at:]}
}

// String puts it together.
func (r results) String() string {
	if r.brokers != "" && r.front != "" {
		return r.brokers + "\n" + r.front
	}
	return r.brokers + r.front
}
