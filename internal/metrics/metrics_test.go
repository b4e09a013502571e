package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbered is a snapshot in which every number is another one.
func numbered() *Snapshot {
	var s Snapshot
	n := int64(0)
	number(reflect.ValueOf(&s).Elem(), &n)
	return &s
}

func number(v reflect.Value, n *int64) {
	switch v.Kind() {
	case reflect.Struct:
		switch v.Interface().(type) {
		case time.Time:
			*n++
			v.Set(reflect.ValueOf(time.Unix(*n, 0)))
			return
		case Histogram:
			*n++
			v.Set(reflect.ValueOf(Histogram{Bounds: []float64{1}, Counts: []uint64{0, 1}, Sum: float64(*n)}))
			return
		}
		for i := range v.NumField() {
			number(v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			number(v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		number(v.Elem(), n)
	case reflect.Int, reflect.Int64:
		*n++
		v.SetInt(*n)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Kind())
	}
}

func gather(t *testing.T, s *Snapshot) []*dto.MetricFamily {
	t.Helper()
	all, err := newRegistry(func() *Snapshot { return s }, "").Gather()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ours(all []*dto.MetricFamily) []*dto.MetricFamily {
	return slices.DeleteFunc(slices.Clone(all), func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), namespace) })
}

// value is what a metric shows; of a histogram, its sum.
func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return m.Histogram.GetSampleSum()
}

// Every number of a snapshot is shown, once.
func TestEveryNumberIsShown(t *testing.T) {
	s := numbered()
	numbers, truths := map[float64]int{}, 0
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch x := v.Interface().(type) {
		case time.Time:
			numbers[float64(x.Unix())] = 0
			return
		case Histogram:
			numbers[x.Sum] = 0
			return
		case bool:
			truths++
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Pointer:
			walk(v.Elem())
		default:
			numbers[float64(v.Int())] = 0
		}
	}
	walk(reflect.ValueOf(*s))
	delete(numbers, 1) // that is what true is shown as
	s.Connections.Open = 0
	for _, f := range ours(gather(t, s)) {
		for _, m := range f.Metric {
			switch v := value(m); {
			case f.GetName() == namespace+"_build_info":
			case v == 1:
				truths--
			case v != 0:
				numbers[v]++
			}
		}
	}
	for n, times := range numbers {
		if times != 1 {
			t.Errorf("number %v of the snapshot %+v is shown %d times", n, *s, times)
		}
	}
	if truths != 0 {
		t.Errorf("%d of the truths are not shown, or others are", truths)
	}
}

// The Prometheus project's own rules for names and texts.
func TestLint(t *testing.T) {
	problems, err := promlint.NewWithMetricFamilies(ours(gather(t, numbered()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// In OpenMetrics a counter's family has its name without _total: no other family may have that.
func TestNamesDoNotMeet(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range families() {
		name := strings.TrimSuffix(f.name, "_total")
		if seen[name] {
			t.Errorf("two families are called %s", name)
		}
		seen[name] = true
		if !strings.HasSuffix(f.help, ".") || strings.ContainsAny(f.help, "|\n") {
			t.Errorf("%s: help %q is no sentence", f.name, f.help)
		}
	}
}

// What a label may be is part of the code, so there is a series for each from the start and never another one.
func TestSeriesAreFixed(t *testing.T) {
	count := func(s *Snapshot) (n int) {
		for _, f := range ours(gather(t, s)) {
			n += len(f.Metric)
		}
		return n
	}
	if empty, full := count(&Snapshot{Store: &Store{}, RocketMQ: &RocketMQ{}, Events: &Events{}}), count(numbered()); empty != full || empty > 160 {
		t.Errorf("%d series of an empty snapshot, %d of a full one", empty, full)
	}
}

// What is RocketMQ's is there only when messages are there.
func TestRocketMQ(t *testing.T) {
	of := func(s *Snapshot) (n int) {
		for _, f := range ours(gather(t, s)) {
			if strings.HasPrefix(f.GetName(), namespace+"_rocketmq_") {
				n++
			}
		}
		return n
	}
	if n := of(&Snapshot{Store: &Store{}}); n != 0 {
		t.Errorf("%d families without RocketMQ", n)
	}
	if n, want := of(&Snapshot{RocketMQ: &RocketMQ{}}), len(rocketmqSending())+len(rocketmqReading())+len(rocketmqSessions())+len(rocketmqRetained())+len(rocketmqCluster()); n != want {
		t.Errorf("%d families with it, want %d", n, want)
	}
}

// The node's label is whatever the operator says.
func TestNodeInfo(t *testing.T) {
	for address, want := range map[string]string{"10.0.0.1": "10.0.0.1", "node \"a\"\n": "node \"a\"\n", "a\xffb": "a\uFFFDb", "": ""} {
		all, err := newRegistry(func() *Snapshot { return nil }, address).Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range all {
			if f.GetName() == namespace+"_node_info" {
				got = f.Metric[0].Label[0].GetValue()
			}
		}
		if got != want {
			t.Errorf("%q is shown as %q, want %q", address, got, want)
		}
	}
}

// Before there is anything to say, Go's and the process's metrics are there.
func TestNothingToSay(t *testing.T) {
	var names []string
	for _, f := range gather(t, nil) {
		names = append(names, f.GetName())
	}
	for _, want := range []string{"go_goroutines", "rocketmqtt_build_info", "process_open_fds"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	if n := len(ours(gather(t, nil))); n != 1 {
		t.Errorf("%d families of ours", n)
	}
}

// docs/metrics.md is what the families declare.
func TestDocs(t *testing.T) {
	const path = "../../docs/metrics.md"
	want := docs()
	got, err := os.ReadFile(path)
	if string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("docs/metrics.md is not what internal/metrics declares (%v); run: go test ./internal/metrics -update", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

const docsHead = `# Metrics and health

<!-- Written by: go test ./internal/metrics -update -->

The broker answers HTTP on ` + "`exporterAddress`:`exporterPort`" + `, by default ` + "`127.0.0.1:9090`" + `. Whoever reaches that port may read all of it, so it is not open to
other machines unless ` + "`exporterAddress`" + ` says so; no names of clients, users or topics are in it. ` + "`exporterPort=off`, or `enablePrometheus=false`" + `, closes it.

| Path | Answer |
| --- | --- |
| ` + "`/metrics`" + ` | the metrics below, in Prometheus text format |
| ` + "`/healthz`, `/-/healthy`" + ` | 200 while the process is worth keeping; 503 with the reason when the store has failed. For liveness probes |
| ` + "`/readyz`" + ` | 200 while every listener accepts clients and messages are taken; 503 with the reason while it starts or waits for RocketMQ, while it stops, when there are ` + "`maxConn`" + ` connections, and while the disk is full or RocketMQ takes no messages. For readiness probes and load balancers |

A Prometheus on the same machine reads it with:

` + "```yaml" + `
scrape_configs:
  - job_name: rocketmqtt
    static_configs:
      - targets: ["127.0.0.1:9090"]
` + "```" + `

Worth an alert: ` + "`rocketmqtt_store_failed`, `rocketmqtt_store_full`" + `, ` + "`rocketmqtt_store_disk_free_bytes`" + ` near ` + "`rocketmqtt_store_disk_reserve_bytes`" + `,
` + "`rocketmqtt_connections_open`" + ` near ` + "`rocketmqtt_connections_limit`" + `, ` + "`rocketmqtt_catch_up_lag_offsets`" + ` that grows for hours, and any increase of ` + "`rocketmqtt_accept_errors_total`, `rocketmqtt_missed_offsets_total`" + `.
In front of RocketMQ also ` + "`rocketmqtt_rocketmq_unavailable`" + ` and any increase of ` + "`rocketmqtt_rocketmq_brokers_failed_total`, `rocketmqtt_rocketmq_log_went_back_total`, `rocketmqtt_rocketmq_expired_offsets_total`, `rocketmqtt_rocketmq_unreadable_messages_total`" + `.

Counters begin with the process. The number of series is fixed: each value of each label is listed here.
` + "`rocketmqtt_rocketmq_*`" + ` are there with ` + "`store=rocketmq`" + ` only; of ` + "`rocketmqtt_store_*`" + ` it has only whether the store has failed, and what an acknowledged message survives.

`

func docs() string {
	var b strings.Builder
	b.WriteString(docsHead)
	b.WriteString("| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range families() {
		fmt.Fprintf(&b, "| `%s_%s` | %s | %s | %s |\n", namespace, f.name, kindName(&f), labelsOf(&f), f.help)
	}
	fmt.Fprintf(&b, "| `%s_build_info` | gauge | `version`, `go_version` | 1, with the version of the broker and of Go as labels. |\n", namespace)
	fmt.Fprintf(&b, "| `%s_node_info` | gauge | `address` | %s |\n", namespace, nodeHelp)
	b.WriteString("\nBeside them are `go_*` and `process_*`, of the Prometheus client library: memory, garbage collection, goroutines, CPU time, open files.\n")
	return b.String()
}

func kindName(f *family) string {
	switch {
	case f.histogram != nil:
		return "histogram"
	case f.kind == prometheus.CounterValue:
		return "counter"
	}
	return "gauge"
}

func labelsOf(f *family) string {
	if len(f.labels) == 0 {
		return ""
	}
	var values []string
	f.values(&Snapshot{Events: &Events{}}, func(_ int64, labels ...string) { values = append(values, labels[0]) })
	return fmt.Sprintf("`%s`: %s", f.labels[0], strings.Join(values, ", "))
}
