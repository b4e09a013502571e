package metrics

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// While the disk is full the broker lives but is not ready; when there is room again it is, and nothing had to be restarted.
func TestReadyAndFullDisk(t *testing.T) {
	dir := t.TempDir()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	free := int64(disk.Bavail) * disk.Bsize
	margin := free / 4 // others write to this disk too
	b := broker.Start(t, broker.Options{Dir: dir, Exporter: true, Set: []string{"diskReserve=" + strconv.FormatInt(free-margin, 10)}})
	pub := connect(t, b, "pub")
	answers := func(code int, reason string) bool {
		t.Helper()
		c, body, err := get(b, "/readyz")
		return err == nil && c == code && strings.Contains(body, reason)
	}
	if !answers(http.StatusOK, "ok") {
		t.Fatal("not ready at first")
	}
	pub.publish("t", nil, 1)

	filler := filepath.Join(t.TempDir(), "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, 2*margin); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", func() bool {
		return answers(http.StatusServiceUnavailable, "are kept in reserve; free space or lower the retention")
	})
	for _, path := range []string{"/healthz", "/-/healthy"} {
		if code, body, err := get(b, path); code != http.StatusOK {
			t.Errorf("%s: %d %q %v", path, code, body, err)
		}
	}
	pub.send(&mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte("t")})
	pub.wantAck(mqtt.PUBACK, mqtt.QuotaExceeded)
	expect(t, b, "the disk is full", values{"store_full": 1, `publishes_refused_total{reason="full"}`: 1, "store_failed": 0})

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool { return answers(http.StatusOK, "ok") })
	pub.publish("t", nil, 1)
	expect(t, b, "there is room", values{"store_full": 0, `publishes_refused_total{reason="full"}`: 1})
}

// A broker that stops says so until the end: who sends it clients hears it before they are refused.
func TestNotReadyWhileStopping(t *testing.T) {
	b := start(t)
	slow := connect(t, b, "slow") // has not read what waits for it: the stop takes a while
	slow.subscribe("t", 0)
	pub := connect(t, b, "pub")
	for range 200 {
		pub.publish("t", make([]byte, 64<<10), 0)
	}
	eventually(t, "something waits to be written", func() bool { return scrape(t, b)["output_queue_bytes"] > 0 })

	seen := make(chan string, 1)
	go func() {
		defer close(seen)
		for {
			code, body, err := get(b, "/readyz")
			if err != nil {
				return // the port is closed
			}
			if code == http.StatusServiceUnavailable {
				seen <- body
				return
			}
		}
	}()
	b.Stop()
	if got := <-seen; got != "the server is stopping\n" {
		t.Errorf("/readyz while it stops: %q", got)
	}
}
