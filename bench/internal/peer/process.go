package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 5 * time.Millisecond
	logTail      = 2000 // bytes
)

// Process is a broker that runs, on a directory of its own.
type Process struct {
	Addr netip.AddrPort

	cmd    *exec.Cmd
	dir    string
	exited chan struct{}
}

// Start starts a broker and returns when it accepts connections. Its files are below base.
func Start(k Kind, programs, base string) (*Process, error) {
	dir, err := os.MkdirTemp(base, k.Program+"-")
	if err != nil {
		return nil, err
	}
	p := &Process{dir: dir, exited: make(chan struct{})}
	if err := p.start(k, programs); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start %s: %w", k.Name, err)
	}
	if err := p.await(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", k.Name, err), p.Stop())
	}
	return p, nil
}

func (p *Process) start(k Kind, programs string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	p.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	data := filepath.Join(p.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	args, err := k.args(programs, data, int(port))
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // should the bench be killed
		Setpgid:   true,            // Ctrl-C is for the bench, which then stops it
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return nil
}

func (p *Process) await() error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		c, err := net.DialTimeout("tcp", p.Addr.String(), time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended: %s\n%s", p.cmd.ProcessState, p.log())
		case <-time.After(pollInterval):
		}
	}
	return fmt.Errorf("no connection is accepted after %s\n%s", startTimeout, p.log())
}

func (p *Process) log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-logTail):])
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends it, with force when it does not end by itself, and removes its files. The error tells of a broker that had ended before.
func (p *Process) Stop() error {
	defer func() { _ = os.RemoveAll(p.dir) }()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		<-p.exited
		return fmt.Errorf("the broker had ended: %s\n%s", p.cmd.ProcessState, p.log())
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	return nil
}

func freePort() (uint16, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}
