//go:build !linux

package broker

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// DieWithTest leaves a process of a test as it is: only a test that ends in order stops it.
func DieWithTest() *syscall.SysProcAttr { return nil }

// RSS is the process's resident memory in bytes.
func (b *Broker) RSS() (int64, error) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(b.PID())).Output()
	if err != nil {
		return 0, err
	}
	kb, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kb << 10, err
}

// halted reports whether SIGSTOP has reached the process.
func (b *Broker) halted() (bool, error) {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(b.PID())).Output()
	return strings.HasPrefix(string(out), "T"), err
}
