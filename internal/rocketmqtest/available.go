package rocketmqtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Available says what is missing to run these versions, or all when none is named: a JDK, or Maven to fetch what is not in the
// cache. It fetches nothing.
func Available(versions ...string) error {
	if len(versions) == 0 {
		versions = Versions()
	}
	_, err := Java()
	for _, v := range versions {
		if _, cached := Cached(v); cached != nil {
			_, noMaven := Maven()
			return errors.Join(err, noMaven)
		}
	}
	return err
}

// Java is the path of the program java: JAVA_HOME's, or that on PATH.
func Java() (string, error) { return program("java", "JAVA_HOME", "default-jdk-headless") }

// Maven is the path of the program mvn: MAVEN_HOME's, or that on PATH.
func Maven() (string, error) { return program("mvn", "MAVEN_HOME", "maven") }

func program(name, home, debian string) (string, error) {
	if dir := os.Getenv(home); dir != "" {
		if path, err := exec.LookPath(filepath.Join(dir, "bin", name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed (Debian: apt-get install %s)", name, debian)
	}
	return path, nil
}

// Have reports whether these versions can be run, for a test that is left out otherwise. What is missing is logged, and is a failure with
// CI=true, where every test must run; `make test` lists it as well, since the log of a test that passes is not shown.
func Have(t testing.TB, versions ...string) bool {
	t.Helper()
	return have(t, Available(versions...))
}

func have(t testing.TB, err error) bool {
	t.Helper()
	switch {
	case err == nil:
		return true
	case os.Getenv("CI") == "true":
		t.Errorf("RocketMQ cannot be run: %v", err)
	default:
		t.Logf("left out, RocketMQ cannot be run: %v", err)
	}
	return false
}
