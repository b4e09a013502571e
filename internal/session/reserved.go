package session

import (
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// mayPublish reports whether clients may publish to name, in a will too. What is below Options.Reserved is refused behind a slash as well, since
// on RocketMQ that is the same topic.
func (m *Manager) mayPublish(name string) bool {
	if !router.MayPublish(topic.First(name)) {
		return false
	}
	return m.opts.Reserved == "" || topic.First(strings.TrimPrefix(name, "/")) != m.opts.Reserved
}
