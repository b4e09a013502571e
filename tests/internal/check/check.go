// Package check is what tests of processes wait and ask with. Nothing here says how soon something happens, only that it does.
package check

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

const sample = 10 * time.Millisecond

// Eventually polls until ok, or fails after patience with what state says. It is for the test's goroutine.
func Eventually(t testing.TB, patience time.Duration, what string, ok func() bool, state ...func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if Poll(ctx, ok) {
		return
	}
	for _, s := range state {
		what += "\n" + s()
	}
	t.Fatalf("did not happen within %v: %s", patience, what)
}

// Poll polls until ok, or reports false when ctx ends.
func Poll(ctx context.Context, ok func() bool) bool {
	tick := time.NewTicker(sample)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// OK fails the test with err, if that is one. It is for the test's goroutine.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Number is a number from the environment, or def.
func Number(t testing.TB, name string, def int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return n
}
