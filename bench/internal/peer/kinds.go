// Package peer builds the brokers that are compared, runs them as processes, and reads what they cost.
package peer

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Kind is a broker with one setting of durability.
type Kind struct {
	Name       string
	Program    string // rocketmqtt, mosquitto, mochi or nats
	Durability string // what a PUBACK promises

	// Variant: differs from another kind in durability only, so that what is QoS 0 needs no run of it.
	Variant bool

	args func(programs, dir string, port int) ([]string, error)
}

// Ours is the name of the kind that the others are compared with.
const Ours = "rocketmqtt"

// Kinds are all there are, ours first.
func Kinds() []Kind {
	return []Kind{
		{
			Name: Ours, Program: "rocketmqtt", args: rocketmqtt("SYNC_FLUSH"),
			Durability: "written and fsync'ed before PUBACK (flushDiskType=SYNC_FLUSH, the default)",
		},
		{
			Name: Ours + " async", Program: "rocketmqtt", Variant: true, args: rocketmqtt("ASYNC_FLUSH"),
			Durability: "written before PUBACK, not synced: survives a crash of the process, not a power loss (flushDiskType=ASYNC_FLUSH)",
		},
		{
			Name: "mosquitto", Program: "mosquitto", args: mosquitto,
			Durability: "none: in memory (persistence would save all of it every 30 minutes, and never before PUBACK)",
		},
		{
			Name: "mochi", Program: "mochi", args: mochi,
			Durability: "none: in memory",
		},
		{
			Name: "NATS", Program: "nats", args: nats("default"),
			Durability: "JetStream file store, written before PUBACK, synced every 2 minutes (sync_interval, the default)",
		},
		{
			Name: "NATS sync", Program: "nats", Variant: true, args: nats("always"),
			Durability: "JetStream file store, fsync'ed before PUBACK (sync_interval: always)",
		},
	}
}

// Proxy is this broker in front of a RocketMQ whose name server is at this address, with the meta module off.
func Proxy(namesrv string) Kind {
	return Kind{Name: Ours, Program: "rocketmqtt", args: set("NAMESRV_ADDR="+namesrv, "enableMetaModule=false")}
}

// Retaining is Proxy with retained messages, so many below a first level.
func Retaining(namesrv string, most int) Kind {
	return Kind{Name: Ours, Program: "rocketmqtt", args: set("NAMESRV_ADDR="+namesrv, "enableMetaModule=true", retainedLimit(most))}
}

// Embedded is this broker with its own store and as many retained messages.
func Embedded(most int) Kind {
	return Kind{Name: Ours, Program: "rocketmqtt", args: set("flushDiskType=SYNC_FLUSH", retainedLimit(most))}
}

func retainedLimit(most int) string { return "maxRetainedTopicNum=" + strconv.Itoa(most) }

func rocketmqtt(flush string) func(string, string, int) ([]string, error) {
	return set("flushDiskType=" + flush)
}

// set is this broker with these settings.
func set(settings ...string) func(string, string, int) ([]string, error) {
	return func(programs, dir string, port int) ([]string, error) {
		args := []string{filepath.Join(programs, "rocketmqtt"), "serve", "--data-dir", dir}
		common := []string{"mqttPort=" + strconv.Itoa(port), "mqttWsPort=off", "exporterPort=off", "logLevel=warn"}
		for _, s := range slices.Concat(settings, common) {
			args = append(args, "--set", s)
		}
		return args, nil
	}
}

// mosquitto as it comes, but for two limits: without them it queues 1,000 messages for a client that is away and drops the rest,
// and has 20 under way where the others have 1,024 and more.
func mosquitto(_, dir string, port int) ([]string, error) {
	conf := "listener " + strconv.Itoa(port) + " 127.0.0.1\nallow_anonymous true\nuser root\nlog_type error\n" +
		"max_queued_messages 0\nmax_inflight_messages 1024\nset_tcp_nodelay true\n"
	name := filepath.Join(dir, "mosquitto.conf")
	return []string{"mosquitto", "-c", name}, os.WriteFile(name, []byte(conf), 0o600)
}

func mochi(programs, _ string, port int) ([]string, error) {
	return []string{filepath.Join(programs, "mochi"), "-addr", "127.0.0.1:" + strconv.Itoa(port)}, nil
}

func nats(sync string) func(string, string, int) ([]string, error) {
	return func(programs, dir string, port int) ([]string, error) {
		return []string{filepath.Join(programs, "nats"), "-port", strconv.Itoa(port), "-dir", dir, "-sync", sync}, nil
	}
}
