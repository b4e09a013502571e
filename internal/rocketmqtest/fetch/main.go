// Command fetch puts the RocketMQ versions that the tests run into the user's cache directory; what is there already is not
// fetched again, and makes what lets them start with less work. Without Maven it says so and leaves the rest to make doctor; with CI=true that is an error.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rocketmqtest.Available(); err != nil {
		fmt.Fprintln(os.Stderr, "RocketMQ is not fetched:", err)
		if os.Getenv("CI") == "true" {
			return 1
		}
		return 0
	}
	if err := rocketmqtest.Archive(ctx, rocketmqtest.Versions()...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
