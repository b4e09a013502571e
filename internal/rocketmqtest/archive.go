package rocketmqtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

const archivesDir = "archives" // beside lib, in the directory of a version

// archives is the directory with the archives of a version, lib being that of its jars, for the JDK that java is of, by the release that this says it is; it need not be
// there. It is "" for a JDK that says nothing.
//
// An archive has the classes that a server loads as its JVM has them in memory (class data sharing). A start that maps it costs a quarter less. The JVM
// looks whether an archive is of itself and of the same jars, and does without one otherwise.
func archives(lib, java string) string {
	java, err := filepath.EvalSymlinks(java)
	if err != nil {
		return ""
	}
	release, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(java)), "release"))
	if err != nil {
		return ""
	}
	return filepath.Join(filepath.Dir(lib), archivesDir, fmt.Sprintf("%.6x", sha256.Sum256(append(release, java...))))
}

// archived is what a server's JVM is told about its archive: to write one when it ends, or to use the one that is there.
func (s *Server) archived(java string) []string {
	quiet := "-Xlog:cds*=off" // tests read what a server prints
	dir := archives(s.c.lib, java)
	switch {
	case s.c.opts.Measuring || dir == "":
		return nil
	case s.c.archive != "":
		return []string{quiet, "-XX:ArchiveClassesAtExit=" + filepath.Join(s.c.archive, s.archiveName())}
	}
	file := filepath.Join(dir, s.archiveName())
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	return []string{quiet, "-XX:SharedArchiveFile=" + file}
}

func (s *Server) archiveName() string { return s.main + ".jsa" }

// Archive fetches the versions and makes the archives that their later starts use, unless they are there: by starting and stopping the servers of each, side by
// side. Those of another JDK are removed. A JDK that cannot make any (before 13) is no error.
func Archive(ctx context.Context, versions ...string) error {
	java, err := Java()
	if err != nil {
		return err
	}
	var libs []string
	for _, v := range versions {
		lib, err := Fetch(ctx, v)
		if err != nil {
			return err
		}
		libs = append(libs, lib)
	}
	dir, err := cache()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // gives the lock back too
	errs := make([]error, len(versions))
	var wg sync.WaitGroup
	for i, v := range versions {
		wg.Go(func() { errs[i] = makeArchives(v, archives(libs[i], java)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// makeArchives makes them in a directory beside their place and renames it when they are whole. The lock is held.
func makeArchives(version, place string) error {
	if _, err := os.Stat(place); err == nil || place == "" {
		return nil
	}
	if err := os.RemoveAll(filepath.Dir(place)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(place), half)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	c, err := launch(Options{Version: version}, tmp)
	if err != nil {
		return err
	}
	stopped := c.each(func(b *Broker) error { return b.Stop() })
	if err := errors.Join(stopped, c.namesrv.Stop(), c.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, place)
}
