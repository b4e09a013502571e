package remoting

import (
	"context"
	"errors"
	"fmt"
)

// TopicConfig is a broker's config of a topic (class TopicConfig).
type TopicConfig struct {
	Topic       string
	ReadQueues  int32
	WriteQueues int32
	Perm        int32 // PermRead | PermWrite
}

// topicConfigJSON is class TopicConfig as it is written.
type topicConfigJSON struct {
	Topic string `json:"topicName"`
	Read  int32  `json:"readQueueNums"`
	Write int32  `json:"writeQueueNums"`
	Perm  int32  `json:"perm"`
}

func (j topicConfigJSON) config() TopicConfig { return TopicConfig{j.Topic, j.Read, j.Write, j.Perm} }

// CreateTopic creates a topic on a broker, or CHANGES it when it is there: fewer queues make messages unreadable. Ask TopicConfig first. A
// Perm of 0 is read and write.
func (c *Client) CreateTopic(ctx context.Context, addr string, t TopicConfig) error {
	if t.Perm == 0 {
		t.Perm = PermRead | PermWrite
	}
	cmd := command{code: codeCreateTopic}
	cmd.str("topic", t.Topic)
	cmd.str("defaultTopic", "TBW102") // must be there, and is not read
	cmd.num("readQueueNums", int64(t.ReadQueues))
	cmd.num("writeQueueNums", int64(t.WriteQueues))
	cmd.num("perm", int64(t.Perm))
	cmd.str("topicFilterType", "SINGLE_TAG")
	cmd.num("topicSysFlag", 0)
	cmd.flagged("order", false)
	_, err := c.ask(ctx, addr, &cmd)
	return wrapTopic("create", t.Topic, err)
}

// TopicConfig is the broker's config of a topic: ErrNotFound, when it has none. Brokers before 5 have no such request: they are asked for
// all topics.
func (c *Client) TopicConfig(ctx context.Context, addr, topic string) (TopicConfig, error) {
	cmd := command{code: codeTopicConfig}
	cmd.str("topic", topic)
	r, err := c.ask(ctx, addr, &cmd)
	var refused *ResponseError
	switch {
	case err == nil:
		var j topicConfigJSON
		err = unmarshal(r.body, &j)
		return j.config(), wrapTopic("config", topic, err)
	case errors.As(err, &refused) && refused.Code == CodeTopicNotExist:
		return TopicConfig{}, wrapTopic("config", topic, fmt.Errorf("%w: %w", ErrNotFound, err))
	case errors.As(err, &refused) && refused.Code == CodeNotSupported:
		return c.topicConfigOfAll(ctx, addr, topic)
	}
	return TopicConfig{}, wrapTopic("config", topic, err)
}

func (c *Client) topicConfigOfAll(ctx context.Context, addr, topic string) (TopicConfig, error) {
	all, err := c.TopicConfigs(ctx, addr)
	if err != nil {
		return TopicConfig{}, wrapTopic("config", topic, err)
	}
	t, ok := all[topic]
	if !ok {
		return TopicConfig{}, wrapTopic("config", topic, ErrNotFound)
	}
	return t, nil
}

// TopicConfigs is the broker's configs of all topics, system topics included, by name. Its answer may be large: a broker's topics in JSON.
func (c *Client) TopicConfigs(ctx context.Context, addr string) (map[string]TopicConfig, error) {
	r, err := c.ask(ctx, addr, &command{code: codeAllTopicConfig})
	if err != nil {
		return nil, fmt.Errorf("configs of all topics: %w", err)
	}
	var j struct {
		Table map[string]topicConfigJSON `json:"topicConfigTable"`
	}
	if err := unmarshal(r.body, &j); err != nil {
		return nil, fmt.Errorf("configs of all topics of %s: %w", addr, err)
	}
	out := make(map[string]TopicConfig, len(j.Table))
	for name, t := range j.Table {
		out[name] = t.config()
	}
	return out, nil
}

// DeleteTopic deletes a topic from a broker. Its route stays until DeleteTopicRoute.
func (c *Client) DeleteTopic(ctx context.Context, addr, topic string) error {
	cmd := command{code: codeDeleteTopic}
	cmd.str("topic", topic)
	_, err := c.ask(ctx, addr, &cmd)
	return wrapTopic("delete", topic, err)
}

// DeleteTopicRoute deletes a topic from every name server.
func (c *Client) DeleteTopicRoute(ctx context.Context, topic string) error {
	return wrapTopic("delete route", topic, c.askAllNamesrv(ctx, func(cmd *command) {
		cmd.code = codeDeleteTopicNamesrv
		cmd.str("topic", topic)
	}))
}

func wrapTopic(what, topic string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s of topic %q: %w", what, topic, err)
}
