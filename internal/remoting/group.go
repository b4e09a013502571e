package remoting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ConsumerIDs is the client ids of a consumer group's members, as far as this broker knows: none after its restart until the members' next
// heartbeats.
func (c *Client) ConsumerIDs(ctx context.Context, addr, group string) ([]string, error) {
	cmd := command{code: codeConsumerList}
	cmd.str("consumerGroup", group)
	r, err := c.ask(ctx, addr, &cmd)
	var refused *ResponseError
	switch {
	case errors.As(err, &refused) && refused.Code == CodeSystemError && strings.HasPrefix(refused.Remark, "no consumer for this group"):
		return nil, nil // ConsumerManageProcessor has no other way to say that there are none
	case err != nil:
		return nil, fmt.Errorf("members of group %q: %w", group, err)
	}
	var j struct {
		IDs []string `json:"consumerIdList"`
	}
	if err := unmarshal(r.body, &j); err != nil {
		return nil, fmt.Errorf("members of group %q of %s: %w", group, addr, err)
	}
	return j.IDs, nil
}

// Heartbeat is a client with its groups (class HeartbeatData).
type Heartbeat struct {
	ClientID      string
	ProducerGroup string   // "": none
	ConsumerGroup string   // "": none. Brokers with autoCreateSubscriptionGroup create it
	Topics        []string // that the consumer group subscribes to
}

// Heartbeat tells a broker that this client is there, with its groups. The client is bound to the connection of LinkSend: the broker
// forgets it when that is lost, or 120 s after the last heartbeat.
func (c *Client) Heartbeat(ctx context.Context, addr string, h Heartbeat) error {
	body, err := json.Marshal(h.data())
	if err != nil {
		return fmt.Errorf("heartbeat of client %q: %w", h.ClientID, err)
	}
	if _, err := c.ask(ctx, addr, &command{code: codeHeartbeat, body: body}); err != nil {
		return fmt.Errorf("heartbeat of client %q: %w", h.ClientID, err)
	}
	return nil
}

// heartbeatJSON is class HeartbeatData.
type heartbeatJSON struct {
	ClientID  string         `json:"clientID"`
	Producers []producerJSON `json:"producerDataSet"`
	Consumers []consumerJSON `json:"consumerDataSet"`
}

// producerJSON is class ProducerData.
type producerJSON struct {
	Group string `json:"groupName"`
}

// consumerJSON is class ConsumerData.
type consumerJSON struct {
	Group         string             `json:"groupName"`
	Type          string             `json:"consumeType"`
	Model         string             `json:"messageModel"`
	From          string             `json:"consumeFromWhere"`
	Subscriptions []subscriptionJSON `json:"subscriptionDataSet"`
	UnitMode      bool               `json:"unitMode"`
}

// subscriptionJSON is class SubscriptionData.
type subscriptionJSON struct {
	Topic          string   `json:"topic"`
	Expression     string   `json:"subString"`
	ExpressionType string   `json:"expressionType"`
	Version        int64    `json:"subVersion"`
	Tags           []string `json:"tagsSet"`
	Codes          []int32  `json:"codeSet"`
}

func (h Heartbeat) data() heartbeatJSON {
	j := heartbeatJSON{ClientID: h.ClientID, Producers: []producerJSON{}, Consumers: []consumerJSON{}}
	if h.ProducerGroup != "" {
		j.Producers = append(j.Producers, producerJSON{h.ProducerGroup})
	}
	if h.ConsumerGroup == "" {
		return j
	}
	consumer := consumerJSON{
		Group: h.ConsumerGroup, Type: "CONSUME_ACTIVELY", Model: "CLUSTERING", From: "CONSUME_FROM_LAST_OFFSET",
		Subscriptions: []subscriptionJSON{},
	}
	for _, t := range h.Topics {
		consumer.Subscriptions = append(consumer.Subscriptions, subscriptionJSON{
			Topic: t, Expression: "*", ExpressionType: "TAG", Tags: []string{}, Codes: []int32{},
		})
	}
	j.Consumers = append(j.Consumers, consumer)
	return j
}
