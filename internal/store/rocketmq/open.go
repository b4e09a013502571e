package rocketmq

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Open waits until RocketMQ answers, at most until o.Context ends, and follows the static first topics.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	ids, err := message.NewIDs(o.Address, os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("localAddress: %w", err)
	}
	var node [8]byte
	_, _ = rand.Read(node[:]) // never fails
	s := &Store{
		opts: o, client: o.Client, ids: ids, node: hex.EncodeToString(node[:]),
		log: throttle.New(o.Logger, time.Second, o.Clock),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tail.init()
	s.sending.init(s)
	s.routes.init(s)
	s.topics.init(s)
	s.lmq.init(s)
	s.changelog = o.Changelog
	if err := s.begin(o.Context); err != nil {
		s.stop()
		if s.sessions != nil {
			err = errors.Join(err, s.sessions.Close())
		}
		if s.retained != nil {
			err = errors.Join(err, s.retained.view.Close())
		}
		return nil, errors.Join(err, s.index.close())
	}
	s.promise = s.askPromise(s.ctx)
	s.tasks.Go(s.keepAll)
	if o.RetryTopic != "" {
		ctx, cancel := s.asking()
		_, _ = s.route(ctx, o.RetryTopic) // it is looked for until it is there: sessions may have places in it
		cancel()
	}
	if o.LMQDispatch != LMQNever {
		s.tasks.Go(s.lmq.watch)
	}
	if o.Listed != nil {
		s.awaitListed(o.Context)
	}
	return s, nil
}

// begin does what needs RocketMQ.
func (s *Store) begin(ctx context.Context) error {
	for first := true; ; first = false {
		err := s.tryBegin(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, store.ErrTopic) { // no waiting helps
			return errors.Join(err, ctx.Err())
		}
		if first {
			s.opts.Logger.Warn("waiting for RocketMQ: "+advice(err), "err", err)
		} else {
			s.log.Warn("still waiting for RocketMQ", "err", err)
		}
		pause(ctx, beginPause)
	}
}

// advice says what to look at.
func advice(err error) string {
	if bad := new(tls.CertificateVerificationError); errors.As(err, &bad) {
		return "its certificate is not trusted: set rocketmqCaCertFile to the authority that signed it, and name servers and brokers as it does"
	}
	return "check NAMESRV_ADDR, and that its name servers and brokers run and can be reached from here"
}

const beginPause = 2 * time.Second

func (s *Store) tryBegin(ctx context.Context) error {
	if err := s.topics.open(ctx); err != nil {
		return err
	}
	if err := s.checkAccess(ctx); err != nil {
		return err
	}
	if err := s.lmq.open(ctx); err != nil {
		return err
	}
	if s.changelog == nil {
		var err error
		if s.sessions, err = s.openSessions(ctx); err != nil {
			return err
		}
		s.changelog = s.sessions
	}
	if s.opts.Retained != nil && s.sessions != nil && s.retained == nil {
		var err error
		if s.retained, err = s.openRetained(ctx); err != nil {
			return err
		}
	}
	if s.index == nil && s.opts.MaxIndexBytes > 0 {
		s.index = s.openIndex(filepath.Join(s.opts.Dir, "index"))
	}
	for _, first := range s.opts.StaticFirstTopics {
		if _, err := s.Watch(first); err != nil { // for ever
			return fmt.Errorf("follow %s of staticFirstTopics: %w", first, err)
		}
	}
	return nil
}

// trimEvery is how often the index forgets what is gone from RocketMQ.
const trimEvery = time.Minute

// keepAll does what is done once a second, or seldom.
func (s *Store) keepAll() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for {
		select {
		case <-t.C:
			s.keep()
		case <-trim.C:
			s.trim()
		case <-s.ctx.Done():
			return
		}
	}
}

// Close refuses new appends and waits for those under way, at most QueueFailover, writes down how far was read, and closes the
// changelog. Idempotent.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.sending.close()
		s.lmq.leaving.finish()
		if s.sessions != nil {
			if err := s.sessions.leave(); err != nil {
				s.log.Warn("leaving the sessions' changelog", "err", err)
			}
		}
		s.stop()
		s.closed = s.changelog.Close()
		if s.retained != nil {
			s.closed = errors.Join(s.closed, s.retained.view.Close())
		}
		s.closed = errors.Join(s.closed, s.index.close())
	})
	return s.closed
}

// stop ends all goroutines.
func (s *Store) stop() {
	s.tail.close()
	s.cancel()
	s.tasks.Wait()
}

// Stats returns the counters, which go on counting.
func (s *Store) Stats() *Stats { return &s.stats }

// ChangelogStats returns the counters of the sessions' changelog, which go on counting; nil when it is not on RocketMQ.
func (s *Store) ChangelogStats() *changelog.Stats {
	if s.sessions == nil {
		return nil
	}
	return s.sessions.log.Stats()
}
