package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of processor times in /proc: USER_HZ, 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

var errProc = errors.New("not understood")

// CPU is the processor time that a process has used.
func CPU(pid int) (time.Duration, error) {
	name := fmt.Sprintf("/proc/%d/stat", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	user, system, err := parseStat(b)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return time.Duration(user+system) * tick, nil
}

// parseStat finds utime and stime: the 12th and 13th field after the name, which may contain anything.
func parseStat(b []byte) (user, system int64, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, errProc
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return user, system, errors.Join(err1, err2)
}

// Memory is what a process has in memory now, and the most it has had, in bytes.
func Memory(pid int) (now, peak int64, err error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, err
	}
	now, err1 := parseStatus(b, "VmRSS:")
	peak, err2 := parseStatus(b, "VmHWM:")
	return now, peak, errors.Join(err1, err2)
}

// parseStatus reads a line like "VmRSS:    5928 kB".
func parseStatus(b []byte, key string) (int64, error) {
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == key {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s %w", key, errProc)
}

// Busy is the processor time that everything on the machine has used, waiting for disks aside.
func Busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseBusy(b)
}

// parseBusy reads "cpu  user nice system idle iowait irq softirq steal ...".
func parseBusy(b []byte) (time.Duration, error) {
	fields := bytes.Fields(b[:max(bytes.IndexByte(b, '\n'), 0)])
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("/proc/stat %w", errProc)
	}
	var sum int64
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 {
			sum += n
		}
	}
	return time.Duration(sum) * tick, nil
}
