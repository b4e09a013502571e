package proxy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
)

const patience = 30 * time.Second // for what must happen, on a busy machine

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what was logged so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// settings is a configuration with RocketMQ's name server at namesrv and metrics at exporter.
func settings(t *testing.T, namesrv, exporter string, set ...string) *config.Config {
	t.Helper()
	_, port, _ := net.SplitHostPort(exporter)
	c, _, err := config.Load(config.Options{DataDir: t.TempDir(), Set: append([]string{
		"NAMESRV_ADDR=" + namesrv, "enableMetaModule=false", "mqttPort=0", "mqttWsPort=0", "exporterPort=" + port, "localAddress=node-a",
	}, set...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// get asks the metrics port; 0 when nobody answers.
func get(t *testing.T, addr, path string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(all)
}

// While RocketMQ cannot be reached, or says nothing, the broker waits, is alive and not ready, and says why, in the log and to whom asks. Told to stop
// it stops at once, and that is no failure.
func TestRocketMQIsAway(t *testing.T) {
	for name, peer := range map[string]func(t *testing.T) (addr, why string){
		"refused": func(t *testing.T) (string, string) { return free(t), "connection refused" },
		"silent": func(t *testing.T) (string, string) {
			l := listen(t) // its backlog accepts
			t.Cleanup(func() { _ = l.Close() })
			return l.Addr().String(), "starting: waiting for RocketMQ: "
		},
	} {
		t.Run(name, func(t *testing.T) {
			namesrv, why := peer(t)
			exporter, log := free(t), new(output)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, settings(t, namesrv, exporter), slog.New(slog.NewTextHandler(log, nil)))
			}()
			eventually(t, "/readyz says why", func() bool {
				code, body := get(t, exporter, "/readyz")
				return code == http.StatusServiceUnavailable && strings.HasPrefix(body, "starting: waiting for RocketMQ") && strings.Contains(body, why)
			})
			eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "waiting for RocketMQ") })
			if code, body := get(t, exporter, "/healthz"); code != http.StatusOK {
				t.Errorf("/healthz: %d %s", code, body)
			}
			if code, body := get(t, exporter, "/metrics"); code != http.StatusOK || !strings.Contains(body, `rocketmqtt_node_info{address="node-a"} 1`) {
				t.Errorf("/metrics: %d %s", code, body)
			}
			told := time.Now()
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("an error of a stop that was asked for: %v", err)
				}
			case <-time.After(patience):
				t.Fatal("it does not stop")
			}
			if d := time.Since(told); d > 2*time.Second {
				t.Errorf("the stop took %v", d)
			}
			if out := log.String(); strings.Contains(out, "msg=ready") || !strings.Contains(out, "topics are followed on demand") ||
				!strings.Contains(out, "asked to stop before it was ready") {
				t.Errorf("log:\n%s", out)
			}
		})
	}
}

// Topics that clients cannot use are refused before anything is opened, by name.
func TestReservedTopics(t *testing.T) {
	for set, want := range map[string]string{
		"staticFirstTopics=a,TBW102":    "staticFirstTopics: TBW102 is",
		"staticFirstTopics=MQTT_SYS_x":  "staticFirstTopics: MQTT_SYS_x is",
		"defaultTopic=RMQ_SYS_anything": "defaultTopic=RMQ_SYS_anything is",
	} {
		err := Run(t.Context(), settings(t, free(t), free(t), set), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", set, err, want)
		}
	}
}

// The embedded store is opened and closed as it was; RocketMQ's client is not made.
func TestEmbedded(t *testing.T) {
	c, _, err := config.Load(config.Options{DataDir: t.TempDir(), Set: []string{"mqttPort=0", "mqttWsPort=0", "exporterPort=off"}})
	if err != nil {
		t.Fatal(err)
	}
	log := new(output)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c, slog.New(slog.NewTextHandler(log, nil))) }()
	eventually(t, "ready", func() bool { return strings.Contains(log.String(), "msg=ready") })
	cancel()
	if err := <-ended; err != nil || strings.Contains(log.String(), "RocketMQ") {
		t.Errorf("%v, log:\n%s", err, log)
	}
}

type address string

func (a address) Network() string { return "ip+net" }
func (a address) String() string  { return string(a) }

// What the operator says counts; else an address that others may know, IPv4 before IPv6.
func TestHostAddress(t *testing.T) {
	for _, tt := range []struct {
		all  []net.Addr
		want string
	}{
		{nil, "invalid IP"},
		{[]net.Addr{address("127.0.0.1/8"), address("::1/128"), address("fe80::1/64"), address("169.254.1.1/16")}, "invalid IP"},
		{[]net.Addr{address("127.0.0.1/8"), address("2001:db8::1/64"), address("10.0.0.5/24"), address("10.0.0.6/24")}, "10.0.0.5"},
		{[]net.Addr{address("?"), address("2001:db8::1/64"), address("2001:db8::2/64")}, "2001:db8::1"},
	} {
		if got := firstAddress(tt.all).String(); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.all, got, tt.want)
		}
	}
	if said := netip.MustParseAddr("192.0.2.7"); hostAddress(said) != said {
		t.Errorf("got %s, want %s", hostAddress(said), said)
	}
}
