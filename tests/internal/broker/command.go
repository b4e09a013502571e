package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// command is what to run for one life.
func (b *Broker) command() (*exec.Cmd, error) {
	if b.opts.Kind == Mosquitto {
		return b.mosquitto()
	}
	bin, err := binary(raceEnabled && !b.opts.NoRace)
	if err != nil {
		return nil, err
	}
	_, tcp, _ := net.SplitHostPort(b.TCP)
	_, ws, _ := net.SplitHostPort(b.WS)
	exporter := "off" // brokers run side by side
	if b.opts.Exporter {
		_, exporter, _ = net.SplitHostPort(b.Exporter)
	}
	args := []string{"serve", "--data-dir", b.opts.Dir, "--set", "mqttPort=" + tcp, "--set", "mqttWsPort=" + ws, "--set", "exporterPort=" + exporter}
	if b.opts.Namesrv != "" {
		args = append(args, "--set", "NAMESRV_ADDR="+b.opts.Namesrv, "--set", "enableMetaModule=false")
	}
	for _, s := range b.opts.Set {
		args = append(args, "--set", s)
	}
	if n := b.opts.Descriptors; n > 0 {
		args = append([]string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(n), bin}, args...)
		bin = "/bin/sh"
	}
	cmd := exec.CommandContext(context.Background(), bin, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROCKETMQTT_") }) // those are for tests
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))                                    // by default it sleeps a second
	return cmd, nil
}

func (b *Broker) mosquitto() (*exec.Cmd, error) {
	path, err := FindMosquitto()
	if err != nil {
		return nil, err
	}
	_, tcp, _ := net.SplitHostPort(b.TCP)
	_, ws, _ := net.SplitHostPort(b.WS)
	lines := []string{
		"per_listener_settings false",
		"allow_anonymous true",
		"user root", // only looked at when started by root: it would change to a user who may not write here
		"persistence true",
		"persistence_location " + b.opts.Dir + "/",
		"log_dest stderr",
		"max_queued_messages 0",
	}
	lines = append(lines, b.opts.Conf...)
	lines = append(lines,
		"listener "+tcp+" 127.0.0.1",
		"listener "+ws+" 127.0.0.1", "protocol websockets",
	)
	conf := filepath.Join(b.opts.Dir, "mosquitto.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	return exec.CommandContext(context.Background(), path, "-c", conf), nil
}

// FindMosquitto finds the mosquitto broker. Debian keeps it where only root's PATH looks.
func FindMosquitto() (string, error) {
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path, nil
	}
	for _, path := range []string{"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the mosquitto broker is not installed (Debian: apt-get install mosquitto)")
}
