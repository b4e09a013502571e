// Package tools knows the programs from elsewhere that the tests use: which are needed, whether they are there, and how
// to get them.
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Tool is one of them.
type Tool struct {
	Name string
	Get  string                 // how to get it
	Find func() (string, error) // its path
}

const (
	e2e     = "tests/e2e"
	getDeb  = "apt-get install "
	getMake = "make tools"
)

// Mosquitto is the mosquitto broker, to compare with.
func Mosquitto() Tool {
	return Tool{"mosquitto (broker)", getDeb + "mosquitto", broker.FindMosquitto}
}

// MosquittoPub is the mosquitto client that publishes.
func MosquittoPub() Tool { return program("mosquitto_pub", "mosquitto-clients") }

// MosquittoSub is the mosquitto client that subscribes.
func MosquittoSub() Tool { return program("mosquitto_sub", "mosquitto-clients") }

// Python is the interpreter.
func Python() Tool { return program("python3", "python3 python3-pip") }

// Node is the JavaScript runtime.
func Node() Tool { return program("node", "nodejs npm") }

// Paho is the directory of the Paho Python client.
func Paho() Tool {
	return Tool{"paho-mqtt (PyPI)", getMake, func() (string, error) { return installed("python", "requirements.txt") }}
}

// MQTTJS is the directory of the MQTT.js client.
func MQTTJS() Tool {
	return Tool{"mqtt (npm)", getMake, func() (string, error) { return installed("node", "package-lock.json") }}
}

// Java is the virtual machine that RocketMQ's servers run in.
func Java() Tool {
	return Tool{"java, for the tests with RocketMQ", getDeb + "default-jdk-headless", rocketmqtest.Java}
}

// ClientGo is RocketMQ's Go client and what that needs, in Go's module cache, as examples/go has them in go.mod.
func ClientGo() Tool {
	return Tool{"rocketmq-client-go, for examples/go", getMake, func() (string, error) {
		root, err := broker.Root()
		if err != nil {
			return "", err
		}
		cmd := exec.CommandContext(context.Background(), "go", "list", "-deps", "./...")
		cmd.Dir = filepath.Join(root, "examples", "go")
		cmd.Env = append(os.Environ(), "GOPROXY=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %.300s", err, out)
		}
		return cmd.Dir, nil
	}}
}

// Maven fetches RocketMQ; it is not missing when all versions are fetched.
func Maven() Tool {
	return Tool{"mvn, to fetch RocketMQ for the tests with it", getDeb + "maven", func() (string, error) {
		for _, v := range rocketmqtest.Versions() {
			if _, err := rocketmqtest.Cached(v); err != nil {
				return rocketmqtest.Maven()
			}
		}
		return "", nil
	}}
}

// All are the tools of all tests.
func All() []Tool {
	return []Tool{Mosquitto(), MosquittoPub(), MosquittoSub(), Python(), Paho(), Node(), MQTTJS(), Java(), ClientGo(), Maven()}
}

func program(name, packages string) Tool {
	return Tool{name, getDeb + packages, func() (string, error) { return exec.LookPath(name) }}
}

// installed finds what tests/e2e/install put there, if it did so from the lock file as it is now.
func installed(dir, lock string) (string, error) {
	root, err := broker.Root()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(root, e2e, ".tools", dir)
	want, err := os.ReadFile(filepath.Join(root, e2e, lock))
	if err != nil {
		return "", err
	}
	switch have, err := os.ReadFile(filepath.Join(dir, "installed-from")); {
	case errors.Is(err, os.ErrNotExist):
		return "", errors.New("not installed")
	case err != nil:
		return "", err
	case !bytes.Equal(have, want):
		return "", errors.New("installed from an older lock file")
	}
	return dir, nil
}

// Missing says what is not there and how to get it; nil when it is.
func (t Tool) Missing() error {
	if _, err := t.Find(); err != nil {
		return fmt.Errorf("%s: %w; get it with: %s", t.Name, err, t.Get)
	}
	return nil
}

// Path is where it is; the test ends when it is missing.
func (t Tool) Path(tb testing.TB) string {
	tb.Helper()
	path, err := t.Find()
	if err != nil {
		tb.Fatal(t.Missing())
	}
	return path
}

// InCI reports that all tests must run: what is missing is then a failure.
func InCI() bool { return os.Getenv("CI") == "true" }

// Have reports whether all of them are there, for a test that leaves out the cases that need them. What is missing is
// logged, and is a failure in CI; `make test` lists it as well, since the log of a test that passes is not shown.
func Have(tb testing.TB, tools ...Tool) bool {
	tb.Helper()
	have := true
	for _, t := range tools {
		err := t.Missing()
		if err == nil {
			continue
		}
		have = false
		if InCI() {
			tb.Error(err)
		} else {
			tb.Logf("left out: %v", err)
		}
	}
	return have
}
