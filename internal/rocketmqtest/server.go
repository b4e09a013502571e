package rocketmqtest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startTimeout = 90 * time.Second // 2 to 5 s on an idle machine of two cores
	stopTimeout  = 60 * time.Second // brokers take up to 20 s
)

// Server is a name server or a broker: a process that can be ended and started again on the same ports and directories. Its methods that
// change it are for one goroutine at a time; PID and Log are for any.
type Server struct {
	Addr string // host:port, the same in every life
	Name string

	c     *Cluster
	dir   string // its rocketmq.home.dir and user.home
	main  string // class
	heap  []string
	props map[string]string // -D
	conf  map[string]string
	ports ports
	ready func(ctx context.Context) (bool, error) // beyond what stdout says
	life  atomic.Pointer[life]                    // nil when it was stopped or killed
}

// life is one run of the process.
type life struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process is gone; state may be read then
	state  *os.ProcessState
	from   int64 // size of the output when it began
}

func (s *Server) output() string { return filepath.Join(s.dir, "stdout.log") }

// Start starts it again after Stop or Kill, and returns when it serves; a broker is then known to the name server. What does not
// come up within startTimeout is killed, and the error has the end of its logs.
func (s *Server) Start() error {
	if s.life.Load() != nil {
		return fmt.Errorf("start %s: it runs", s.Name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.launch(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	if err := s.awaitReady(ctx); err != nil {
		_ = s.Kill() // it may have ended by itself
		return fmt.Errorf("start %s: %w\n%s", s.Name, err, s.Log())
	}
	return nil
}

// launch starts the process and waits for nothing.
func (s *Server) launch() error {
	cmd, err := s.command()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(s.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own copy
	info, err := out.Stat()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithTest()
	if err := cmd.Start(); err != nil {
		return err
	}
	l := &life{cmd: cmd, exited: make(chan struct{}), from: info.Size()}
	go func() { // Kill and Stop wait for it; every cluster is closed
		_ = cmd.Wait() // its result is the state
		l.state = cmd.ProcessState
		close(l.exited)
	}()
	s.life.Store(l)
	return nil
}

func (s *Server) command() (*exec.Cmd, error) {
	java, err := Java()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(s.dir, "server.conf")
	if err := os.WriteFile(conf, properties(s.conf), 0o600); err != nil {
		return nil, err
	}
	args := append(jvmFlags(s.c.opts.Measuring), s.archived(java)...)
	args = append(args, s.heap...)
	for _, name := range slices.Sorted(maps.Keys(s.props)) {
		args = append(args, "-D"+name+"="+s.props[name])
	}
	args = append(args, "-Drocketmq.home.dir="+s.dir, "-Duser.home="+s.dir, "-cp", filepath.Join(s.c.lib, "*"), s.main, "-c", conf)
	cmd := exec.CommandContext(context.Background(), java, args...)
	cmd.Dir = s.dir
	// What the environment says for installed servers must not reach these.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "NAMESRV_ADDR" || name == "ROCKETMQ_HOME" || name == "CLASSPATH"
	})
	return cmd, nil
}

// jvmFlags are those of RocketMQ's own scripts for JDK 9 and newer, and what makes a start quick or, measuring, what comes after it. A quick start
// takes the jars' bytecode as it is: to verify it is a fifth of what a start costs. A later JDK may know no such flag, and is not to mind.
func jvmFlags(measuring bool) []string {
	flags := []string{
		"--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED",
		"--add-exports", "java.base/sun.nio.ch=ALL-UNNAMED",
		"--add-opens", "java.base/java.nio=ALL-UNNAMED",
		"--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED",
		"-Xshare:auto", "-XX:-UsePerfData",
	}
	if measuring {
		return append(flags, "-XX:+UseG1GC")
	}
	return append(flags, quickJVM()...)
}

func quickJVM() []string {
	return []string{
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote",
	}
}

func (s *Server) awaitReady(ctx context.Context) error {
	l := s.life.Load()
	err := poll(ctx, func() (bool, error) {
		select {
		case <-l.exited:
			return false, fmt.Errorf("it ended: %s", l.state)
		default:
		}
		if booted, err := l.said(s.output(), "boot success"); !booted || err != nil {
			return false, err
		}
		return s.ready(ctx)
	})
	if ctx.Err() != nil {
		return fmt.Errorf("not ready after %s", startTimeout)
	}
	return err
}

// said reports whether this life has printed it.
func (l *life) said(output, what string) (bool, error) {
	b, err := os.ReadFile(output)
	return err == nil && strings.Contains(string(b[min(l.from, int64(len(b))):]), what), err
}

// Kill ends it with SIGKILL and waits until it is gone. That it had ended by itself is an error.
func (s *Server) Kill() error {
	l := s.life.Swap(nil)
	if l == nil {
		return fmt.Errorf("kill %s: it does not run", s.Name)
	}
	err := l.cmd.Process.Kill()
	<-l.exited
	if err != nil {
		return fmt.Errorf("kill %s: it had ended by itself: %s", s.Name, l.state)
	}
	return nil
}

// Stop asks it to end with SIGTERM and waits until it is gone: a broker then has written all it knows, which takes 7 s (4.9.7) to 20 s. One that
// does not end in a minute is killed, which is an error.
func (s *Server) Stop() error {
	l := s.life.Swap(nil)
	if l == nil {
		return fmt.Errorf("stop %s: it does not run", s.Name)
	}
	err := l.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil {
		<-l.exited
		return fmt.Errorf("stop %s: it had ended by itself: %s", s.Name, l.state)
	}
	_ = l.cmd.Process.Signal(syscall.SIGCONT) // it may be paused
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-l.exited:
		return nil
	case <-late.C:
		_ = l.cmd.Process.Kill()
		<-l.exited
		return fmt.Errorf("stop %s: it runs %s after SIGTERM, and was killed", s.Name, stopTimeout)
	}
}

// Pause halts it (SIGSTOP): its connections stay, and nothing is answered until Resume.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets it go on after Pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	l := s.life.Load()
	if l == nil {
		return fmt.Errorf("%s to %s: it does not run", sig, s.Name)
	}
	if err := l.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s to %s: %w", sig, s.Name, err)
	}
	return nil
}

// Running reports whether it was started and neither stopped nor killed since.
func (s *Server) Running() bool { return s.life.Load() != nil }

// PID is the process id, or 0 when it does not run.
func (s *Server) PID() int {
	if l := s.life.Load(); l != nil {
		return l.cmd.Process.Pid
	}
	return 0
}

// Property sets a system property (-D) for the next Start; an empty value takes it away.
func (s *Server) Property(name, value string) { set(s.props, name, value) }

// Conf sets a line of the configuration file for the next Start; an empty value takes it away.
func (s *Server) Conf(key, value string) { set(s.conf, key, value) }

func set(m map[string]string, key, value string) {
	if value == "" {
		delete(m, key)
		return
	}
	m[key] = value
}

// close ends it, and gives its ports back.
func (s *Server) close() {
	if s.Running() {
		_ = s.Kill()
	}
	s.ports.close()
}
