// Command mochi is mochi-mqtt as a broker process to compare with, everything in memory: a PUBACK promises nothing beyond the
// life of the process.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:1883", "where to listen")
	flag.Parse()
	if err := serve(*addr); err != nil {
		fmt.Fprintln(os.Stderr, "mochi:", err)
		os.Exit(1)
	}
}

// serve runs until SIGTERM. Two limits are above their defaults, for without that mochi drops what the offline scenario queues.
func serve(addr string) error {
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumInflight = 65535
	limits.MaximumClientWritesPending = 65536
	s := mqtt.New(&mqtt.Options{
		Capabilities: limits,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		return fmt.Errorf("allow everybody: %w", err)
	}
	if err := s.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: addr})); err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	if err := s.Serve(); err != nil {
		return fmt.Errorf("serve on %s: %w", addr, err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	return s.Close()
}
