package rocketmqtest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Shared is a cluster that the tests of one package share. It is started when the first test asks for it, so a run of tests that do not
// costs nothing.
type Shared struct {
	Options Options

	once sync.Once
	c    *Cluster
	err  error
}

// Main runs the tests and closes the cluster; it returns what TestMain exits with.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	s.once.Do(func() {}) // nobody starts it now
	if s.c == nil {
		return code
	}
	if err := s.c.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Cluster is the cluster, for any test and goroutine of the package, with the ends of its logs in the test's when that fails. It is nil when RocketMQ cannot be run (see
// Have): the test has to return. Whoever stops a server starts it again, and shares it with no test that runs in parallel.
func (s *Shared) Cluster(t testing.TB) *Cluster {
	t.Helper()
	version := s.Options.Version
	if version == "" {
		version = Default
	}
	if !Have(t, version) {
		return nil
	}
	s.once.Do(func() { s.c, s.err = Launch(s.Options) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	s.c.LogsOnFailure(t)
	return s.c
}
