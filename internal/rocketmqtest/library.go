package rocketmqtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	fetchTimeout = 10 * time.Minute // some 90 MB a version, behind a slow line
	half         = "fetch-"         // begins the name of a directory that is being fetched
	copyGoal     = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
)

// pom names what a name server, a broker and mqadmin need; Maven adds what those need in turn.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>rocketmqtt</groupId><artifactId>rocketmqtest</artifactId><version>1</version><packaging>pom</packaging>
  <properties><v>VERSION</v></properties>
  <dependencies>
    <dependency><groupId>org.apache.rocketmq</groupId><artifactId>rocketmq-namesrv</artifactId><version>${v}</version></dependency>
    <dependency><groupId>org.apache.rocketmq</groupId><artifactId>rocketmq-broker</artifactId><version>${v}</version></dependency>
    <dependency><groupId>org.apache.rocketmq</groupId><artifactId>rocketmq-tools</artifactId><version>${v}</version></dependency>
  </dependencies>
</project>
`

// cache is the directory that has version/lib for every version fetched.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "rocketmqtt", "rocketmq"), nil
}

// Cached is the directory with the jars of a version, or why there is none. It is there whole or not at all.
func Cached(version string) (string, error) {
	if !slices.Contains(Versions(), version) {
		return "", fmt.Errorf("version %q of RocketMQ is not one of %v", version, Versions())
	}
	dir, err := cache()
	if err != nil {
		return "", err
	}
	lib := filepath.Join(dir, version, "lib")
	if _, err := os.Stat(lib); err != nil {
		return "", fmt.Errorf("RocketMQ %s is not fetched: %w", version, err)
	}
	return lib, nil
}

// Fetch fetches a version unless it is there, and returns the directory with its jars. Test processes may do so side by side: one fetches
// and the others wait for it. Maven takes from its own repository (~/.m2) what is there, and settings.xml's mirrors count.
func Fetch(ctx context.Context, version string) (string, error) {
	if lib, err := Cached(version); err == nil || !slices.Contains(Versions(), version) {
		return lib, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	dir, err := cache()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// One lock for all versions: Maven 3 does not expect another one in its repository.
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // gives the lock back too
	if lib, err := Cached(version); err == nil {
		return lib, nil // by whom we waited for
	}
	if err := removeHalves(dir); err != nil {
		return "", err
	}
	return fetch(ctx, dir, version)
}

// fetch has Maven copy the jars into a directory beside their place and renames it when it is whole.
func fetch(ctx context.Context, dir, version string) (string, error) {
	maven, err := Maven()
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, half)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	project := filepath.Join(tmp, "pom.xml")
	if err := os.WriteFile(project, []byte(strings.Replace(pom, "VERSION", version, 1)), 0o600); err != nil {
		return "", err
	}
	whole := filepath.Join(tmp, version)
	cmd := exec.CommandContext(ctx, maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", project, copyGoal,
		"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(whole, "lib"))
	cmd.SysProcAttr = dieWithTest()
	cmd.WaitDelay = time.Second // for what it started and left behind with our pipe
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch RocketMQ %s with Maven: %w\n%s", version, err, out)
	}
	if err := os.Rename(whole, filepath.Join(dir, version)); err != nil {
		return "", err
	}
	return Cached(version)
}

// removeHalves removes what processes left that were killed while they fetched. The lock is held.
func removeHalves(dir string) error {
	halves, err := filepath.Glob(filepath.Join(dir, half+"*"))
	for _, name := range halves {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// lockFile takes the lock of a file, which is made when it is not there; who closes the file gives it back.
func lockFile(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, func() (bool, error) { return tryLock(f) })
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}
