package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// running is a broker in front of RocketMQ.
type running struct {
	exporter string
	log      *output
}

// run starts it; it is stopped at the end of the test, which must succeed.
func run(t *testing.T, namesrv string, set ...string) running {
	t.Helper()
	r := running{exporter: free(t), log: new(output)}
	cfg := settings(t, namesrv, r.exporter, set...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, slog.New(slog.NewTextHandler(r.log, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

func (r running) answers(t *testing.T, path string, code int, text string) bool {
	t.Helper()
	c, body := get(t, r.exporter, path)
	return c == code && strings.Contains(body, text)
}

// What the configuration says about RocketMQ reaches it: TLS with the authority given, the account, the topics to follow before the start
// ends; and what the brokers promise reaches the ready line and the metrics. While the broker is away load balancers are to send no clients.
// Without TLS the name server hangs up, and is waited for.
func TestRealRocketMQ(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.Default) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{
		SyncFlush: true, TLS: rocketmqtest.TLSEnforcing, ACL: &rocketmqtest.ACL{AccessKey: "proxy", SecretKey: "secret-of-proxy"},
	})
	secure := []string{"rocketmqTls=true", "rocketmqCaCertFile=" + c.CA(), "rocketmqAccessKey=proxy", "staticFirstTopics=topicA,iot/devices"}

	r := run(t, c.Namesrv(), append(secure, "rocketmqSecretKey=secret-of-proxy")...)
	eventually(t, "ready", func() bool { return r.answers(t, "/readyz", http.StatusOK, "ok") })
	for _, want := range []string{"namesrv=" + c.Namesrv(), "flushDiskType=SYNC_FLUSH on all brokers"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if strings.Contains(r.log.String(), "on demand") {
		t.Error("topics are said to be followed on demand, though there are static ones")
	}
	if !r.answers(t, "/metrics", http.StatusOK, "\nrocketmqtt_store_survives_power_loss 1\n") {
		t.Error("the metrics do not say that messages survive a power loss")
	}
	if !r.answers(t, "/metrics", http.StatusOK, "\nrocketmqtt_rocketmq_unavailable 0\n") {
		t.Error("the metrics do not say that RocketMQ takes messages")
	}

	if err := c.Broker(0).Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready while the broker is away", func() bool {
		return r.answers(t, "/readyz", http.StatusServiceUnavailable, "no messages are taken: no broker") &&
			r.answers(t, "/metrics", http.StatusOK, "\nrocketmqtt_rocketmq_unavailable 1\n")
	})
	if err := c.Broker(0).Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool { return r.answers(t, "/readyz", http.StatusOK, "ok") })

	plain := run(t, c.Namesrv())
	eventually(t, "without TLS it waits", func() bool {
		return plain.answers(t, "/readyz", http.StatusServiceUnavailable, "starting: waiting for RocketMQ") && strings.Contains(plain.log.String(), "waiting for RocketMQ")
	})
}
