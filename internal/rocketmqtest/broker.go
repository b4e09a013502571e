package rocketmqtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// commitLogFile is the size of a file of the commit log in bytes, unless somebody measures; 1 GB out of the box. Messages of maxMessageSize (4 MB)
// fit.
const commitLogFile = 64 << 20

// Broker is a broker: a Server with a store.
type Broker struct {
	*Server

	told time.Time // when it was last told to register; only Start looks at it
}

// newBroker is the i-th broker, not started.
func (c *Cluster) newBroker(i int) error {
	name := "broker-" + string(rune('a'+i))
	heap := []string{"-Xms128m", "-Xmx768m", "-XX:MaxDirectMemorySize=512m"}
	if c.opts.Measuring {
		heap = []string{"-Xms2g", "-Xmx2g", "-XX:MaxDirectMemorySize=1g"}
	}
	s, err := c.newServer(name, "org.apache.rocketmq.broker.BrokerStartup", heap...)
	if err != nil {
		return err
	}
	b := &Broker{Server: s}
	c.brokers = append(c.brokers, b)
	s.ready = b.isReady
	b.configure()
	return b.configureACL()
}

func (b *Broker) configure() {
	for key, value := range map[string]string{
		"brokerIP1":         "127.0.0.1",
		"brokerIP2":         "127.0.0.1",
		"brokerName":        b.Name,
		"brokerClusterName": "DefaultCluster",
		"brokerId":          "0",
		"namesrvAddr":       b.c.Namesrv(),
		"storePathRootDir":  b.store(),
		// Not derived from the root by all versions.
		"storePathCommitLog":      filepath.Join(b.store(), "commitlog"),
		"mappedFileSizeCommitLog": strconv.Itoa(commitLogFile),
		"flushDiskType":           "ASYNC_FLUSH",
		// In ms, the least there is; 30 s out of the box. So long a name server that was started again does not know it.
		"registerNameServerPeriod": "10000",
	} {
		b.conf[key] = value
	}
	if b.c.opts.SyncFlush {
		b.conf["flushDiskType"] = "SYNC_FLUSH"
	}
	if b.c.opts.Measuring {
		delete(b.conf, "mappedFileSizeCommitLog")
	} else {
		b.rest()
	}
	for key, value := range b.c.opts.BrokerConf {
		b.conf[key] = value
	}
}

// rest keeps an idle broker of 5.x from using a processor: by 4 % instead of 47 % of one core in the first seconds.
//   - TransactionMetricsFlushService (5.4.0, 5.5.0) spins until the first transactionMetricFlushInterval is over, 10 s out of the box. It writes a small file
//     at its end, so a shorter one costs as well.
//   - TimerFlushService (TimerMessageStore) compares all 37 MB of the timer wheel byte by byte, every second out of the box. Timers
//     work all the same.
func (b *Broker) rest() {
	b.conf["transactionMetricFlushInterval"] = "250"
	b.conf["timerFlushIntervalMs"] = "60000"
}

// Start is Server.Start. Files of queues that have nothing in them are removed before: a kill may have come between the moment when one was made and when it got its size,
// and a broker of 4.9.7 does not start then ("length not matched message store config value").
func (b *Broker) Start() error {
	if err := removeEmpty(filepath.Join(b.store(), "consumequeue")); err != nil {
		return err
	}
	return b.Server.Start()
}

// removeEmpty removes the empty files below dir, which need not be there.
func removeEmpty(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() == 0 {
			err = os.Remove(path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b *Broker) store() string { return filepath.Join(b.dir, "store") }
