// Command nats is nats-server with JetStream and MQTT as a broker process to compare with. With -sync=always every message is
// synced before its PUBACK, else every two minutes, which is the default of NATS.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const startTimeout = 20 * time.Second

func main() {
	port := flag.Int("port", 1883, "where to listen for MQTT, on 127.0.0.1")
	dir := flag.String("dir", "", "where JetStream keeps its files")
	sync := flag.String("sync", "default", "always or default")
	flag.Parse()
	if err := serve(*port, *dir, *sync == "always"); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

// serve runs until SIGTERM. MaxAckPending is above its default of 1,024 to have the window that the others have; the subscriptions of a session may
// have 65,535 together.
func serve(port int, dir string, always bool) error {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir, SyncAlways: always,
		NoSigs: true, NoLog: true,
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: port, MaxAckPending: 16000},
	})
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	go s.Start()
	if !s.ReadyForConnections(startTimeout) {
		return errors.New("not ready in " + startTimeout.String())
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	s.Shutdown()
	return nil
}
