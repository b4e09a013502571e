package rocketmqtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	tailLines = 40
	tailBytes = 64 << 10
)

// logConf is what 4.9.7 has to find in conf/; 5.x brings its own.
const logConf = `<configuration>
  <appender name="main" class="ch.qos.logback.core.FileAppender">
    <file>${user.home}/logs/rocketmqlogs/%s.log</file>
    <encoder><pattern>%%d{yyyy-MM-dd HH:mm:ss.SSS} %%p %%t - %%m%%n</pattern></encoder>
  </appender>
  <appender name="store" class="ch.qos.logback.core.FileAppender">
    <file>${user.home}/logs/rocketmqlogs/store.log</file>
    <encoder><pattern>%%d{yyyy-MM-dd HH:mm:ss.SSS} %%p %%t - %%m%%n</pattern></encoder>
  </appender>
  <logger name="RocketmqStore" additivity="false"><appender-ref ref="store"/></logger>
  <root level="INFO"><appender-ref ref="main"/></root>
</configuration>
`

// writeLogConf makes a server's directory.
func writeLogConf(dir string) error {
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"namesrv", "broker"} {
		if err := os.WriteFile(filepath.Join(conf, "logback_"+name+".xml"), fmt.Appendf(nil, logConf, name), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Log is the ends of what it has printed and logged in all its lives.
func (s *Server) Log() string {
	var all strings.Builder
	logs := filepath.Join(s.dir, "logs", "rocketmqlogs")
	for _, name := range []string{s.output(), filepath.Join(logs, "namesrv.log"), filepath.Join(logs, "store.log"), filepath.Join(logs, "broker.log")} {
		end, err := tail(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			end = err.Error()
		}
		fmt.Fprintf(&all, "--- %s, %s:\n%s\n", s.Name, filepath.Base(name), end)
	}
	return all.String()
}

// Logs is that of all servers.
func (c *Cluster) Logs() string {
	all := c.namesrv.Log()
	for _, b := range c.brokers {
		all += b.Log()
	}
	return all
}

// LogsOnFailure makes the ends of the servers' logs a part of the test's, when that fails.
func (c *Cluster) LogsOnFailure(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("RocketMQ %s:\n%s", c.Version(), c.Logs())
		}
	})
}

// tail is the last lines of a file, of which it reads no more than tailBytes.
func tail(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-tailBytes), tailBytes))
	if err != nil {
		return "", err
	}
	lines := bytes.Split(bytes.TrimRight(b, "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n"))), nil
}
