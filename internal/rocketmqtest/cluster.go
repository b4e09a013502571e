package rocketmqtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Cluster is a name server and its brokers.
type Cluster struct {
	opts    Options
	lib     string // directory of the jars
	dir     string // of all that it writes; ends with Close
	tls     *certificates
	namesrv *Server
	brokers []*Broker
	archive string // directory into which its servers write archives when they end; "": they use those that are there
	closed  atomic.Bool
}

// Start is Launch for one test, which it fails; the cluster ends with the test, and the ends of its logs are the test's when that fails.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := Launch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	c.LogsOnFailure(t)
	return c
}

// Launch fetches the version if it is not there, starts a cluster and returns when the name server knows all brokers. The caller closes it.
func Launch(o Options) (*Cluster, error) { return launch(o, "") }

// launch is Launch of a cluster that makes archives, unless archive is "".
func launch(o Options, archive string) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	lib, err := Fetch(context.Background(), o.Version)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "rocketmqtest-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, lib: lib, dir: dir, archive: archive}
	if err := c.launch(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) launch() error {
	if err := c.makeCertificates(); err != nil {
		return err
	}
	if err := c.newNamesrv(); err != nil {
		return err
	}
	if err := c.namesrv.Start(); err != nil {
		return err
	}
	for i := range c.opts.Brokers {
		if err := c.newBroker(i); err != nil {
			return err
		}
	}
	return c.each((*Broker).Start)
}

// each does the same with all brokers side by side.
func (c *Cluster) each(do func(*Broker) error) error {
	errs := make([]error, len(c.brokers))
	var wg sync.WaitGroup
	for i, b := range c.brokers {
		wg.Go(func() { errs[i] = do(b) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close kills what runs and removes what it wrote. Only the first call does something.
func (c *Cluster) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	for _, b := range c.brokers {
		b.close()
	}
	if c.namesrv != nil {
		c.namesrv.close()
	}
	return os.RemoveAll(c.dir)
}

// Namesrv is the address of the name server, host:port.
func (c *Cluster) Namesrv() string { return c.namesrv.Addr }

// NameServer is the name server, to end and to start again. It begins with an empty route: brokers that run register within 10 s
// (registerNameServerPeriod).
func (c *Cluster) NameServer() *Server { return c.namesrv }

// Broker is the i-th broker, from 0.
func (c *Cluster) Broker(i int) *Broker { return c.brokers[i] }

// Brokers is how many there are.
func (c *Cluster) Brokers() int { return len(c.brokers) }

// Version is the version of RocketMQ that runs.
func (c *Cluster) Version() string { return c.opts.Version }

// newServer makes the directory and takes the ports of a server that is then started.
func (c *Cluster) newServer(name, main string, heap ...string) (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	dir := filepath.Join(c.dir, name)
	if err := writeLogConf(dir); err != nil {
		return nil, err
	}
	p, err := takePorts(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Addr: p.addr(), Name: name,
		c: c, dir: dir, main: main, heap: heap, ports: p,
		props: c.tlsProperties(),
		conf: map[string]string{
			"listenPort":  fmt.Sprint(p.listen()),
			"bindAddress": "127.0.0.1", // of 5.x; 4.9.7 listens everywhere
		},
	}
	return s, nil
}

func (c *Cluster) newNamesrv() error {
	s, err := c.newServer("namesrv", "org.apache.rocketmq.namesrv.NamesrvStartup", "-Xms32m", "-Xmx256m")
	if err != nil {
		return err
	}
	s.ready = func(ctx context.Context) (bool, error) {
		_, err := c.registered(ctx, "")
		return err == nil, nil // asked again
	}
	c.namesrv = s
	return nil
}
