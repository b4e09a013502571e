package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// promise is what an acknowledged message survives, by the brokers' own settings.
type promise struct {
	power bool // a power loss
	text  string
}

// Promise says what an acknowledged message survives, by the settings that the brokers had when the store was opened; powerLoss only if that is certain.
func (s *Store) Promise() (powerLoss bool, text string) {
	return s.promise.power, s.promise.text
}

// askPromise asks every broker for its settings. With access control that takes the rights of an administrator: then nothing is known.
func (s *Store) askPromise(ctx context.Context) promise {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var async, unknown []string
	masters := s.masters()
	for _, b := range masters {
		conf, err := s.client.BrokerConfig(ctx, b.addr())
		switch {
		case err != nil || conf["flushDiskType"] == "":
			unknown = append(unknown, b.name)
		case conf["flushDiskType"] != "SYNC_FLUSH":
			async = append(async, b.name)
		}
	}
	switch {
	case len(async) > 0:
		return promise{text: fmt.Sprintf("acknowledged messages survive a crash of this process and of the brokers, not a power loss (flushDiskType=ASYNC_FLUSH on %s)", strings.Join(async, ", "))}
	case len(unknown) > 0 || len(masters) == 0:
		return promise{text: fmt.Sprintf("acknowledged messages survive a crash of this process; the brokers' flushDiskType is not known (asking %s for it failed)", strings.Join(unknown, ", "))}
	}
	return promise{power: true, text: "acknowledged messages survive a power loss (flushDiskType=SYNC_FLUSH on all brokers)"}
}

// Accepting says why no publish is taken now; nil while they are.
func (s *Store) Accepting() error {
	if !s.pulse.Alive() {
		return errPaused
	}
	masters := s.masters()
	for _, b := range masters {
		if !b.failed() {
			return nil
		}
	}
	if len(masters) == 0 {
		return errors.New("no broker of RocketMQ is registered at its name servers")
	}
	return errors.New("no broker of RocketMQ takes messages")
}
