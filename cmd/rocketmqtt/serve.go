package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
	"github.com/rocketmqtt/rocketmqtt/internal/proxy"
)

type serveCommand struct {
	source
}

func (s *serveCommand) run(_, stderr io.Writer) (code int) {
	cfg, report, err := s.load()
	if err != nil {
		for _, w := range report.Warnings {
			complain(stderr, errors.New("warning: "+w))
		}
		complain(stderr, err)
		return exitUsage
	}
	log := newLogger(stderr, cfg)
	for _, w := range report.Warnings {
		log.Warn("configuration: " + w)
	}
	if len(report.Ignored) > 0 {
		log.Info("keys of the Java proxy without meaning here: " + strings.Join(report.Ignored, "; "))
	}
	log.Info("starting", "version", version())

	ctx, done := untilSignal(log, os.Exit)
	defer done()
	if err := proxy.Run(ctx, cfg, log); err != nil {
		log.Error("failed", "error", err)
		return exitFailed
	}
	log.Info("stopped")
	return exitStopped
}

func newLogger(w io.Writer, cfg *config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	var h slog.Handler = slog.NewTextHandler(w, o)
	if cfg.LogFormat == config.LogJSON {
		h = slog.NewJSONHandler(w, o)
	}
	if cfg.LocalAddress != "" {
		h = h.WithAttrs([]slog.Attr{slog.String("node", cfg.LocalAddress)})
	}
	return slog.New(h)
}

// untilSignal returns a context that the first SIGINT or SIGTERM cancels. A second one calls exit: whoever asks
// twice does not want to wait for a graceful stop, and what was acknowledged is on disk already. SIGHUP is left alone:
// nohup relies on that. done releases everything.
func untilSignal(log *slog.Logger, exit func(code int)) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		obey(signals, quit, log, cancel, exit)
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(quit)
		<-ended
		cancel()
	}
}

// echo is how long a signal may come again without being a second one: timeout(1) and other supervisors send it to the
// process and then to its group.
const echo = 500 * time.Millisecond

func obey(signals <-chan os.Signal, quit <-chan struct{}, log *slog.Logger, stop func(), exit func(code int)) {
	var first time.Time
	for {
		select {
		case <-quit:
			return
		case s := <-signals:
			switch {
			case first.IsZero():
				log.Info("stopping", "signal", s.String())
				first = time.Now()
				stop()
			case time.Since(first) >= echo:
				log.Warn("stopping at once", "signal", s.String())
				exit(exitFailed)
				return
			}
		}
	}
}
