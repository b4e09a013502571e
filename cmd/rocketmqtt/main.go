// Command rocketmqtt is an MQTT broker in front of Apache RocketMQ, or on a durable log of its own.
//
//	rocketmqtt serve [--conf DIR] [--data-dir DIR] [--set KEY=VALUE]...
//	rocketmqtt check [--conf DIR] [--data-dir DIR] [--set KEY=VALUE]...
//	rocketmqtt version
//
// Exit codes: 0 stopped as asked, 1 failed (check: the configuration is wrong), 2 bad usage or configuration.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
)

// Exit codes.
const (
	exitStopped = 0
	exitFailed  = 1
	exitUsage   = 2
)

// commands is the command line, as kong reads it.
type commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Run the broker (the default)."`
	Check   checkCommand   `cmd:"" help:"Print the effective configuration and where each value comes from."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// source holds the flags that say where a configuration comes from.
type source struct {
	Conf    string   `placeholder:"DIR" env:"ROCKETMQTT_CONF" help:"Directory of connect.conf, service.conf and meta.conf (Java properties)."`
	DataDir string   `placeholder:"DIR" help:"Directory of the embedded store; short for --set dataDir=DIR."`
	Set     []string `placeholder:"KEY=VALUE" sep:"none" help:"Set a key of the configuration; may be repeated."`
}

func (s *source) load() (*config.Config, *config.Report, error) {
	return config.Load(config.Options{ConfDir: s.Conf, DataDir: s.DataDir, Set: s.Set, Environ: os.Environ()})
}

// command is what runs; code is the process's exit code.
type command interface {
	run(stdout, stderr io.Writer) (code int)
}

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

func execute(args []string, stdout, stderr io.Writer) (code int) {
	var c commands
	parser, err := kong.New(&c, kong.Name("rocketmqtt"), kong.Writers(stdout, stderr), kong.UsageOnError(),
		kong.Description("An MQTT 3.1, 3.1.1 and 5 broker in front of Apache RocketMQ, or on a durable log of its own."))
	if err != nil {
		complain(stderr, err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		complain(stderr, fmt.Errorf("%w (see rocketmqtt --help)", err))
		return exitUsage
	}
	chosen, ok := parsed.Selected().Target.Addr().Interface().(command)
	if !ok {
		complain(stderr, fmt.Errorf("no such command: %s", parsed.Command()))
		return exitUsage
	}
	return chosen.run(stdout, stderr)
}

// complain writes err as the last word of the process. There is nobody left to tell when that fails.
func complain(w io.Writer, err error) {
	_, _ = fmt.Fprintf(w, "rocketmqtt: %v\n", err)
}
