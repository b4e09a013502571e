//go:build !linux

package rocketmqtest

import "syscall"

// dieWithTest leaves children in the test's process group, so that an interrupt from the terminal ends them too.
func dieWithTest() *syscall.SysProcAttr { return nil }
