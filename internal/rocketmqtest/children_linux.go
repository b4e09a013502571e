package rocketmqtest

import "syscall"

// dieWithTest makes a child end when the test process does. It has its own process group, so that an interrupt from the terminal is for
// the test alone.
func dieWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
