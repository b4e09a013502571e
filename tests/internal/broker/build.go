package broker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

var (
	buildPlain = sync.OnceValues(func() (string, error) { return build(false) })
	buildRace  = sync.OnceValues(func() (string, error) { return build(true) })
)

// binary is the path of the rocketmqtt of this repository, built once per test process.
func binary(race bool) (string, error) {
	if race {
		return buildRace()
	}
	return buildPlain()
}

// build puts it where the next test process finds it, so that the linker runs only after a change. The packages'
// tests run side by side and take turns here.
func build(race bool) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "tests", ".bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // gives the lock back too
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	out := filepath.Join(dir, "rocketmqtt")
	args := []string{"build"}
	if race {
		out += "-race"
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "-o", out, "./cmd/rocketmqtt")...)
	cmd.Dir = root
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the broker: %w\n%s", err, msg)
	}
	return out, nil
}

// Root is the directory of the repository.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
