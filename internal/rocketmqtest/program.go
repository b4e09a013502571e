package rocketmqtest

import (
	"context"
	"os/exec"
	"path/filepath"
	"time"
)

// Program is a Java program of one source file, with the jars of a version on its class path: an application of RocketMQ that uses its own
// client. It is not started; it ends with ctx, and on Linux with the test process. dir is the home directory that it sees: the client logs there.
func Program(ctx context.Context, version, source, dir string, args ...string) (*exec.Cmd, error) {
	lib, err := Fetch(ctx, version)
	if err != nil {
		return nil, err
	}
	java, err := Java()
	if err != nil {
		return nil, err
	}
	flags := append(quickJVM(), "-Xmx256m", "-Duser.home="+dir, "-cp", filepath.Join(lib, "*"), source)
	args = append(flags, args...)
	cmd := exec.CommandContext(ctx, java, args...)
	cmd.SysProcAttr = dieWithTest()
	cmd.WaitDelay = 10 * time.Second
	return cmd, nil
}
