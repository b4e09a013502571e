// Package broker runs a broker as a process of its own for tests: the rocketmqtt of this repository, or mosquitto to
// compare with. It can be stopped, killed, and started again on the same data directory and the same ports.
//
// Its methods end the test when they fail and so belong on the test's goroutine; RSS, PID and Log may be called on any.
package broker

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Kind is the program that runs.
type Kind string

// The brokers there are.
const (
	Rocketmqtt Kind = "rocketmqtt"
	Mosquitto  Kind = "mosquitto"
)

// KindEnv names the environment variable that makes Start run another broker than rocketmqtt: with "mosquitto"
// a new test can be tried against an independent broker first.
const KindEnv = "ROCKETMQTT_TEST_BROKER"

// NamesrvEnv names the environment variable that puts every rocketmqtt of any suite in front of a RocketMQ: the address of its name server.
// Tests of retained messages, wills, the embedded log and quotas of it fail then.
const NamesrvEnv = "ROCKETMQTT_TEST_NAMESRV"

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	pollInterval = 5 * time.Millisecond
	tailLines    = 40
)

// Options of a broker. The zero value runs rocketmqtt, or what KindEnv says, on a directory that goes with the test.
type Options struct {
	Kind Kind
	Set  []string // --set key=value of rocketmqtt
	Conf []string // further lines of mosquitto.conf
	Dir  string   // data directory

	// Namesrv is the name server of the RocketMQ that rocketmqtt keeps messages in, host:port; then it has no retained messages and wills. "": what
	// NamesrvEnv says, else the embedded log.
	Namesrv string

	// Descriptors is how many the process may have; 0: as many as the test.
	Descriptors int

	// NoRace builds without the race detector even when the test has it: for figures of memory.
	NoRace bool

	// Exporter asks for metrics and health, at Broker.Exporter.
	Exporter bool

	// Errors is for a test that asks for what the broker logs as an error.
	Errors bool
}

// Broker is a broker process. TCP and WS are its addresses, host:port, the same after every Start. Exporter is where its metrics
// are, when Options asks for them.
type Broker struct {
	TCP, WS, Exporter string

	t       testing.TB
	opts    Options
	logPath string
	run     atomic.Pointer[run]
}

// run is one life of the process.
type run struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process is gone; state may be read then
	state  *os.ProcessState
	from   int64 // size of the log file when it began
}

// Start starts a broker and returns when it accepts connections. When the test ends the broker is stopped; that it
// stops with 0, has logged no error and, with the race detector, has no race is a part of every test.
func Start(t testing.TB, o Options) *Broker {
	t.Helper()
	if o.Kind == "" {
		o.Kind = Kind(os.Getenv(KindEnv))
	}
	if o.Kind == "" {
		o.Kind = Rocketmqtt
	}
	if o.Namesrv == "" {
		o.Namesrv = os.Getenv(NamesrvEnv)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{
		TCP: loopback(ports[0]), WS: loopback(ports[1]), Exporter: loopback(ports[2]),
		t: t, opts: o, logPath: filepath.Join(t.TempDir(), string(o.Kind)+".log"),
	}
	t.Cleanup(b.cleanup)
	b.Start()
	return b
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Kind is the program that runs.
func (b *Broker) Kind() Kind { return b.opts.Kind }

// WSURL is the address for WebSocket clients.
func (b *Broker) WSURL() string { return "ws://" + b.WS + "/mqtt" }

// Start starts it again after Stop or Kill.
func (b *Broker) Start() {
	b.t.Helper()
	cmd, err := b.command()
	if err != nil {
		b.t.Fatal(err)
	}
	log, err := os.OpenFile(b.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own copy
	info, err := log.Stat()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = DieWithTest()
	if err := cmd.Start(); err != nil {
		b.t.Fatalf("start %s: %v", b.opts.Kind, err)
	}
	r := &run{cmd: cmd, exited: make(chan struct{}), from: info.Size()}
	go func() {
		_ = cmd.Wait() // its result is the state
		r.state = cmd.ProcessState
		close(r.exited)
	}()
	b.run.Store(r)
	b.awaitReady(r)
}

func (b *Broker) awaitReady(r *run) {
	b.t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.exited:
			b.t.Fatalf("%s ended before it was ready: %s\n%s", b.opts.Kind, r.state, b.Log())
		case <-deadline:
			b.t.Fatalf("%s is not ready after %s\n%s", b.opts.Kind, startTimeout, b.Log())
		case <-tick.C:
			if b.ready(r) {
				return
			}
		}
	}
}

func (b *Broker) ready(r *run) bool {
	if b.opts.Kind == Rocketmqtt {
		log, err := os.ReadFile(b.logPath)
		return err == nil && strings.Contains(string(log[min(r.from, int64(len(log))):]), "msg=ready")
	}
	for _, addr := range []string{b.TCP, b.WS} {
		nc, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = nc.Close()
	}
	return true
}

// Stop asks it to stop with SIGTERM, waits until it is gone, and fails the test when it did not end with 0.
func (b *Broker) Stop() {
	b.t.Helper()
	if err := b.stop(); err != nil {
		b.t.Fatalf("%v\n%s", err, b.Log())
	}
}

func (b *Broker) stop() error {
	r := b.run.Swap(nil)
	if r == nil {
		return nil
	}
	_ = r.cmd.Process.Signal(syscall.SIGCONT) // it may be paused
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		<-r.exited
		return fmt.Errorf("%s was gone before it was stopped: %s", b.opts.Kind, r.state)
	}
	_ = r.cmd.Process.Signal(syscall.SIGCONT) // it may be paused
	select {
	case <-r.exited:
	case <-time.After(stopTimeout):
		_ = r.cmd.Process.Signal(syscall.SIGQUIT) // a Go program then writes its goroutines
		select {
		case <-r.exited:
		case <-time.After(time.Second):
			_ = r.cmd.Process.Kill()
			<-r.exited
		}
		return fmt.Errorf("%s does not stop within %s", b.opts.Kind, stopTimeout)
	}
	if code := r.state.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with %s", b.opts.Kind, r.state)
	}
	return nil
}

// Kill ends it with SIGKILL, and fails the test when it had ended by itself.
func (b *Broker) Kill() {
	b.t.Helper()
	r := b.run.Swap(nil)
	if r == nil {
		b.t.Fatalf("%s does not run", b.opts.Kind)
	}
	err := r.cmd.Process.Kill()
	<-r.exited
	if err != nil {
		b.t.Fatalf("%s had ended by itself: %s\n%s", b.opts.Kind, r.state, b.Log())
	}
}

// Pause halts it (SIGSTOP) and returns when it is halted: its connections stay, and take what clients send, but nothing is answered until Resume.
func (b *Broker) Pause() {
	b.t.Helper()
	b.signal(syscall.SIGSTOP)
	deadline := time.After(stopTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		halted, err := b.halted()
		if err != nil {
			b.t.Fatal(err)
		}
		if halted {
			return
		}
		select {
		case <-deadline:
			b.t.Fatalf("%s is not halted %s after SIGSTOP", b.opts.Kind, stopTimeout)
		case <-tick.C:
		}
	}
}

// Resume lets it go on after Pause.
func (b *Broker) Resume() {
	b.t.Helper()
	b.signal(syscall.SIGCONT)
}

func (b *Broker) signal(sig syscall.Signal) {
	b.t.Helper()
	if r := b.run.Load(); r == nil {
		b.t.Fatalf("%s does not run", b.opts.Kind)
	} else if err := r.cmd.Process.Signal(sig); err != nil {
		b.t.Fatalf("%v to %s: %v", sig, b.opts.Kind, err)
	}
}

// PID is the process id, or 0 when it does not run.
func (b *Broker) PID() int {
	if r := b.run.Load(); r != nil {
		return r.cmd.Process.Pid
	}
	return 0
}

// Log is the end of what it has logged in all its lives.
func (b *Broker) Log() string {
	log, err := os.ReadFile(b.logPath)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(strings.TrimRight(string(log), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "")
}

// faults are what the test may not find in rocketmqtt's log.
func (b *Broker) faults() []string {
	all := []string{"DATA RACE", "panic:", "fatal error:"}
	if !b.opts.Errors {
		all = append(all, "level=ERROR")
	}
	return all
}

func (b *Broker) cleanup() {
	if err := b.stop(); err != nil {
		b.t.Errorf("%v", err)
	}
	log, err := os.ReadFile(b.logPath)
	if err != nil {
		b.t.Error(err)
	}
	if b.opts.Kind == Rocketmqtt {
		for _, fault := range b.faults() {
			if at := strings.Index(string(log), fault); at >= 0 {
				b.t.Errorf("the broker logged %q:\n%s", fault, log[max(0, at-300):min(len(log), at+4000)])
			}
		}
	}
	if b.t.Failed() {
		b.t.Logf("end of the log of %s:\n%s", b.opts.Kind, b.Log())
	}
}
