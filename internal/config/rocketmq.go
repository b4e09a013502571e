package config

import (
	"regexp"
	"slices"
	"strings"
)

func (l *loader) chooseStore() {
	c := l.config
	switch {
	case c.Store == "" && len(c.NamesrvAddr) > 0:
		c.Store = StoreRocketMQ
		l.why["store"] = "default: NAMESRV_ADDR is set"
	case c.Store == "":
		c.Store = StoreEmbedded
		l.why["store"] = "default: NAMESRV_ADDR is not set"
	}
}

// rocketmq applies what holds with one store only.
func (l *loader) rocketmq(confDir string) {
	c := l.config
	c.RocketMQCA = resolve(confDir, c.RocketMQCA)
	if c.Store != StoreRocketMQ {
		for _, key := range []string{"NAMESRV_ADDR", "rocketmqAccessKey"} {
			if l.set(key) {
				l.warn("%s is not used with store=embedded", l.where(key))
			}
		}
		return
	}
	if len(c.NamesrvAddr) == 0 {
		l.fail("%s: set NAMESRV_ADDR to the name servers of that RocketMQ", l.where("store"))
	}
	if c.MaxPacket > brokersTake {
		l.warn("%s=%d: brokers take messages of 4 MiB with their properties unless their maxMessageSize says more, and larger ones are refused to their publisher", l.where("maxPacketSizeInByte"), c.MaxPacket)
	}
	l.credentials()
	l.rocketmqTLS()
}

// brokersTake is the default of RocketMQ's maxMessageSize, bytes.
const brokersTake = 4 << 20

func (l *loader) credentials() {
	c := l.config
	switch {
	case c.RocketMQAccessKey != "" && c.RocketMQSecretKey == "":
		l.fail("%s is set, but rocketmqSecretKey is not: set both, or neither", l.where("rocketmqAccessKey"))
	case c.RocketMQAccessKey == "" && c.RocketMQSecretKey != "":
		l.fail("%s is set, but rocketmqAccessKey is not: set both, or neither", l.where("rocketmqSecretKey"))
	case c.RocketMQAccessKey == "" && c.RocketMQSecurityToken != "":
		l.fail("%s is set, but rocketmqAccessKey and rocketmqSecretKey are not: set all three, or none", l.where("rocketmqSecurityToken"))
	}
}

func (l *loader) rocketmqTLS() {
	c := l.config
	if !c.RocketMQTLS {
		if c.RocketMQCA != "" {
			l.warn("%s does nothing: rocketmqTls is false", l.where("rocketmqCaCertFile"))
		}
		return
	}
	if _, err := c.RocketMQTLSConfig(); err != nil {
		l.fail("%s: %w", l.where("rocketmqCaCertFile"), err)
	}
}

// firstTopics cuts entries down to their first level and drops duplicates.
func (l *loader) firstTopics() {
	var out []string
	for _, t := range l.config.StaticFirstTopics {
		first, rest, deeper := strings.Cut(strings.TrimPrefix(t, "/"), "/")
		if deeper && rest != "" {
			l.warn("%s: %s stands for its first level, %s", l.where("staticFirstTopics"), t, first)
		}
		if !slices.Contains(out, first) {
			out = append(out, first)
		}
	}
	l.config.StaticFirstTopics = out
	if l.config.Store == StoreRocketMQ && len(out) > l.config.MaxFirstTopics {
		l.fail("%s names %d first levels, more than %s=%d", l.where("staticFirstTopics"), len(out), l.where("maxFirstTopics"), l.config.MaxFirstTopics)
	}
}

// What both an MQTT first level and the name of a RocketMQ topic can be. RocketMQ would take % and | as well, which the store does not: they
// begin and divide the names of RocketMQ's own queues.
const topicName = `[a-zA-Z0-9_-]{1,127}`

var (
	firstTopic = regexp.MustCompile(`^/?` + topicName + `(/.*)?$`)
	wholeTopic = regexp.MustCompile(`^` + topicName + `$`)
)

func firstTopics() kind[[]string] {
	return list(",", "topic names of letters, digits, _ and -, at most 127 long, separated by commas", func(s string) error {
		if !firstTopic.MatchString(s) {
			return errNotAllowed
		}
		return nil
	})
}

// topicNames takes the name of a RocketMQ topic, or off, which is no topic.
func topicNames() kind[string] {
	return kind[string]{
		allowed: "a topic name of letters, digits, _ and -, at most 127 long, or off",
		parse: func(s string) (string, error) {
			switch {
			case s == "off":
				return "", nil
			case !wholeTopic.MatchString(s):
				return "", errNotAllowed
			}
			return s, nil
		},
		format: func(s string) string {
			if s == "" {
				return "off"
			}
			return s
		},
	}
}
