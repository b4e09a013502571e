package rocketmqtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const maxBrokers = 8

// Options of a cluster. The zero value is one broker of version Default.
type Options struct {
	Version string
	Brokers int // 0: one; broker-a, broker-b and so on, all masters of one cluster

	// BrokerConf are further lines of every broker.conf, for example enableLmq and enableMultiDispatch. Names, ports and paths are the kit's.
	BrokerConf map[string]string

	// SyncFlush makes brokers answer a send when it is on disk (flushDiskType=SYNC_FLUSH), not before.
	SyncFlush bool

	// ACL makes brokers want signed requests; nil: they take all.
	ACL *ACL

	TLS TLS

	// Measuring is for whoever measures how fast RocketMQ is: with both JIT compilers, G1, a heap of 2 GB, and files of the commit log of
	// 1 GB, as they are out of the box. Starts take longer.
	Measuring bool

	// Dir is where the cluster's directory is made; "": the system's place for temporary files.
	Dir string
}

// confOfKit is what Options.BrokerConf may not say.
func confOfKit() []string {
	return []string{
		"listenPort", "fastListenPort", "haListenPort", "bindAddress", "brokerIP1", "brokerIP2", "brokerName", "brokerId", "brokerClusterName",
		"namesrvAddr", "storePathRootDir", "storePathCommitLog", "flushDiskType",
	}
}

func (o *Options) validate() error {
	if o.Version == "" {
		o.Version = Default
	}
	if o.Brokers == 0 {
		o.Brokers = 1
	}
	if !slices.Contains(Versions(), o.Version) {
		return fmt.Errorf("Options.Version: %q is not one of %v", o.Version, Versions())
	}
	if o.Brokers < 0 || o.Brokers > maxBrokers {
		return fmt.Errorf("Options.Brokers: %d is not between 1 and %d", o.Brokers, maxBrokers)
	}
	for key := range o.BrokerConf {
		if slices.Contains(confOfKit(), key) {
			return fmt.Errorf("Options.BrokerConf: %s is set by the kit", key)
		}
	}
	return nil
}

// properties renders a file of key=value lines, in order of the keys.
func properties(conf map[string]string) []byte {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(conf)) {
		b.WriteString(key + "=" + conf[key] + "\n")
	}
	return []byte(b.String())
}
