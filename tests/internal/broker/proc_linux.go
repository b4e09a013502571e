package broker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// DieWithTest makes a process of a test end when the test process ends without stopping it.
func DieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// RSS is the process's resident memory in bytes.
func (b *Broker) RSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in the status of process %d", b.PID())
}

// halted reports whether SIGSTOP has reached all of the process.
func (b *Broker) halted() (bool, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.PID()))
	if err != nil {
		return false, err
	}
	_, state, found := strings.Cut(string(stat), ") ") // behind the name of the program
	return found && strings.HasPrefix(state, "T"), nil
}
