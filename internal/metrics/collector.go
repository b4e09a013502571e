package metrics

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "rocketmqtt"

// newRegistry returns a registry of what read says, what the Go runtime and the process say of themselves, the build and, unless it is empty, the
// node's address. While read returns nil, the broker's own metrics are missing.
func newRegistry(read func() *Snapshot, address string) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		newCollector(read),
		buildInfo(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if address != "" {
		r.MustRegister(nodeInfo(address))
	}
	return r
}

// collector makes metrics of one snapshot each time it is asked, so that the figures of a scrape belong together and nothing is
// written to a metric while the broker works.
type collector struct {
	read     func() *Snapshot
	families []family
	descs    []*prometheus.Desc // of families
}

func newCollector(read func() *Snapshot) *collector {
	c := &collector{read: read, families: families()}
	for i := range c.families {
		f := &c.families[i]
		c.descs = append(c.descs, prometheus.NewDesc(prometheus.BuildFQName(namespace, "", f.name), f.help, f.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.read()
	if s == nil {
		return
	}
	for i := range c.families {
		f, desc := &c.families[i], c.descs[i]
		if f.histogram != nil {
			if s.Store != nil {
				to <- constHistogram(desc, f.histogram(s.Store))
			}
			continue
		}
		f.values(s, func(v int64, labels ...string) {
			to <- prometheus.MustNewConstMetric(desc, f.kind, float64(v), labels...)
		})
	}
}

func constHistogram(desc *prometheus.Desc, h Histogram) prometheus.Metric {
	counts := make(map[float64]uint64, len(h.Bounds))
	for i, bound := range h.Bounds {
		counts[bound] = h.Counts[i]
	}
	total := uint64(0)
	if len(h.Counts) > 0 {
		total = h.Counts[len(h.Counts)-1]
	}
	return prometheus.MustNewConstHistogram(desc, total, h.Sum, counts)
}

// buildInfo says which build runs.
func buildInfo() prometheus.Collector {
	version := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		version = b.Main.Version
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of the broker and of Go as labels.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	}, func() float64 { return 1 })
}

const nodeHelp = "1, with the key localAddress as label; not there without it."

// nodeInfo says which node this is.
func nodeInfo(address string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "node_info", Help: nodeHelp,
		ConstLabels: prometheus.Labels{"address": strings.ToValidUTF8(address, "\uFFFD")},
	}, func() float64 { return 1 })
}
